"""The rule of `auto`, by hand for each kind of feedback."""

import pytest

from chatwright.errors import InputError
from chatwright.pipeline.improve.methods import METHODS, FeedbackCounts, choose, explanation
from tests.docs.markdown import ROOT
from tests.pipeline.run_command import chatwright


def counts(n_pair: int = 0, n_up: int = 0, n_down: int = 0) -> FeedbackCounts:
    return FeedbackCounts(n_pair=n_pair, n_up=n_up, n_down=n_down, n_tie=0, raters=("a",))


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        (counts(10), "dpo"),
        (counts(4_999, 50, 50), "dpo"),
        (counts(5_000), "ppo"),
        (counts(9, 10, 10), "kto"),
        (counts(0, 1, 19), "kto"),
    ],
)
def test_auto_takes_the_first_method_that_fits(given: FeedbackCounts, chosen: str) -> None:
    assert choose("auto", given).name == chosen


@pytest.mark.parametrize("given", [counts(), counts(9), counts(0, 20, 0), counts(9, 10, 9)])
def test_too_little_feedback_is_refused(given: FeedbackCounts) -> None:
    with pytest.raises(InputError) as caught:
        choose("auto", given)
    assert caught.value.field == "feedback"


def test_a_named_method_needs_its_smallest_feedback() -> None:
    assert choose("grpo", counts(200)).name == "grpo"
    for name in ("grpo", "kto"):
        with pytest.raises(InputError):
            choose(name, counts(199))


def test_the_rule_is_printed_from_the_table() -> None:
    printed = chatwright("improve", "--explain")
    for row in explanation():
        assert all(cell in printed for cell in row)
    assert len(explanation()) == len(METHODS)


def test_the_documented_rule_is_the_table() -> None:
    page = (ROOT / "docs/how-to/improve-from-feedback.md").read_text(encoding="utf-8")
    for row in explanation():
        assert f"| {' | '.join(row)} |" in page


def test_how_much_a_method_learns_from_counts_only_its_own_feedback() -> None:
    given = counts(10, 300, 300)
    assert choose("dpo", given).n_examples(given) == 10
    assert choose("kto", given).n_examples(given) == 600
