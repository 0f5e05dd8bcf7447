"""Each planted fault is found and named; honest feedback is kept whole."""

from collections import Counter
from pathlib import Path

import pytest
import torch

from chatwright.data.preferences import Feedback
from chatwright.data.snapshot import write_snapshot
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.evaluation.feedback_quality.consensus import agreement_with_others
from chatwright.evaluation.feedback_quality.judgments import judgments_of
from chatwright.evaluation.feedback_quality.quality import (
    FeedbackQualityConfig,
    assess,
    choose_feedback,
)
from tests.data.feedback_examples import correction, ranking, thumb

N_RATER = 20


def simulated(
    n_item: int, seed: int, *, hostile: int = 0, raters_per_item: int = 3, right: float = 0.85
) -> list[Feedback]:
    """Return rankings by raters who are right with probability `right`; hostile ones lie."""
    draws = generator(seed, "raters")
    feedback: list[Feedback] = []
    for item in range(n_item):
        chosen = torch.randperm(N_RATER, generator=draws)[:raters_per_item].tolist()
        for rater in chosen:
            is_right = torch.rand((), generator=draws).item() < right
            is_right = is_right != (rater < hostile)
            feedback.append(
                ranking(
                    f"simulated {rater:02}",
                    f"question {item}",
                    ranks=(1, 2) if is_right else (2, 1),
                    is_simulated=True,
                )
            )
    return feedback


@pytest.mark.parametrize("seed", range(5))
def test_one_hostile_rater_of_twenty_is_found_and_no_honest_one(seed: int) -> None:
    """5 % hostile raters; each rater judges about 65 pairs."""
    good = assess(simulated(450, seed, hostile=1))
    assert {item.feedback.rater for item in good.report.left_out} == {"simulated 00"}
    assert set(good.report.n_left_out()) == {"the rater contradicts the others"}
    assert all(item.rater != "simulated 00" for item in good.kept)


@pytest.mark.parametrize("seed", range(5))
def test_honest_raters_are_all_kept(seed: int) -> None:
    feedback = simulated(300, seed)
    good = assess(feedback)
    assert list(good.kept) == feedback
    assert good.report.left_out == ()


@pytest.mark.parametrize("seed", range(3))
def test_hostile_raters_in_large_numbers_are_found_too(seed: int) -> None:
    good = assess(simulated(600, seed, hostile=6, right=0.9))
    assert {item.feedback.rater for item in good.report.left_out} == {
        f"simulated {rater:02}" for rater in range(6)
    }


def test_hostile_raters_who_share_no_item_are_found_by_gold_questions() -> None:
    feedback: list[Feedback] = []
    for rater, answer in (("honest", (1, 2)), ("hostile", (2, 1))):
        feedback += [ranking(rater, f"{rater} {i}", ranks=answer) for i in range(10)]
        feedback += [
            ranking(rater, f"gold {rater} {i}", ranks=answer, right=(1, 2)) for i in range(8)
        ]
    good = assess(feedback)
    assert good.report.n_left_out() == {"the rater fails gold questions": 18, "gold question": 8}
    assert {item.rater for item in good.kept} == {"honest"}
    figures = {r.rater: r.gold for r in good.report.raters}
    assert (figures["honest"].successes, figures["honest"].n) == (8, 8)
    assert figures["hostile"].successes == 0
    lenient = assess(feedback, FeedbackQualityConfig(gold_limit=0, agreement_limit=0))
    assert lenient.report.n_left_out() == {"gold question": 16}


def test_few_wrong_answers_leave_nobody_out() -> None:
    wrong = [ranking("ann", f"q{i}", ranks=(2, 1), right=(1, 2)) for i in range(2)]
    report = assess([*wrong, ranking("ann", "r")]).report
    assert report.n_left_out() == {"gold question": 2}


def test_a_gold_answer_may_order_more_than_the_right_one_and_not_less() -> None:
    texts = ("x", "y", "z")
    fine = ranking("ann", "q", texts, (1, 2, 3), right=(1, 2, 2))
    tie = ranking("ann", "r", texts, (1, 1, 1), right=(1, 2, 2))
    (figures,) = assess([fine, tie]).report.raters
    assert (figures.gold.successes, figures.gold.n) == (1, 2)


def test_raters_who_answer_by_chance_agree_with_the_others_half_of_the_time() -> None:
    """Four of them cannot outvote three good raters, whose answers get more weight."""
    n_chance = 4
    draws = torch.rand(n_chance, 400, generator=generator(0, "chance")) < 0.5
    feedback: list[Feedback] = []
    for i in range(400):
        feedback += [ranking(rater, f"q{i}") for rater in ("good 1", "good 2", "good 3")]
        feedback += [
            ranking(f"chance {r}", f"q{i}", ranks=(1, 2) if draws[r, i] else (2, 1))
            for r in range(n_chance)
        ]
    shares = agreement_with_others(judgments_of(feedback))
    assert shares["good 1"].value == 1
    assert shares["chance 0"].value == pytest.approx(0.5, abs=0.06)


def test_duplicates_are_found_in_any_order_of_the_replies() -> None:
    feedback = [
        ranking("ann", "q", ("x", "y", "z"), (1, 2, 3)),
        ranking("ann", "q", ("z", "y", "x"), (9, 5, 1), minute=5),
        ranking("bob", "q", ("x", "y", "z"), (1, 2, 3)),
        ranking("ann", "r", ("x", "y", "z"), (1, 2, 3)),
        thumb("ann", "q", "x", True),
        thumb("ann", "q", "x", True),
        correction("ann", "q", "x", "w"),
        correction("ann", "q", "x", "w"),
        correction("ann", "q", "x", "v"),
    ]
    good = assess(feedback)
    assert good.report.n_left_out() == {"duplicate": 3}
    assert list(good.kept) == [feedback[i] for i in (0, 2, 3, 4, 6, 8)]


def test_a_rater_who_contradicts_an_own_answer_loses_both_and_others_may_disagree() -> None:
    feedback = [
        ranking("ann", "q", ("x", "y"), (1, 2)),
        ranking("ann", "q", ("x", "y", "z"), (2, 1, 1)),
        ranking("bob", "q", ("x", "y"), (2, 1)),
        thumb("ann", "s", "x", True),
        thumb("ann", "s", "x", False),
        ranking("ann", "t", ("x", "y"), (1, 1)),
        ranking("ann", "t", ("x", "y"), (1, 2)),
    ]
    report = assess(feedback).report
    assert report.n_left_out() == {"the rater contradicts an own answer": 4}
    assert report.n_disputed == 1
    assert report.n_tie == 1


def test_a_raters_limit_does_not_depend_on_order_and_keeps_order() -> None:
    feedback: list[Feedback] = [ranking("ann", f"q{i}") for i in range(10)]
    feedback += [ranking("bob", f"q{i}") for i in range(3)]
    config = FeedbackQualityConfig(most_per_rater=4)
    good = assess(feedback, config)
    assert Counter(item.rater for item in good.kept) == {"ann": 4, "bob": 3}
    assert list(good.kept) == [item for item in feedback if item in good.kept]
    again = assess(feedback[::-1], config)
    assert list(again.kept) == list(good.kept)[::-1]
    assert good.report.n_left_out() == {"over the rater's limit": 6}


def test_every_piece_is_kept_or_left_out_with_a_reason() -> None:
    feedback = simulated(60, 3, hostile=1) + [ranking("ann", "q", right=(1, 2))] * 2
    good = assess(feedback, FeedbackQualityConfig(most_per_rater=5))
    assert len(good.kept) + len(good.report.left_out) == len(feedback) == good.report.n
    assert sum(rater.n_kept for rater in good.report.raters) == good.report.n_kept


def test_one_rater_and_simulated_raters_are_said() -> None:
    report = assess([ranking("simulated", "q", is_simulated=True)]).report
    assert report.is_simulated
    assert len(report.notes) == 3
    assert report.to_json()["alpha"] is None
    both = assess([ranking("ann", "q"), ranking("bob", "q")]).report
    assert both.notes == ()


def test_feedback_that_prefers_nothing_is_an_error(tmp_path: Path) -> None:
    ties = write_snapshot(tmp_path / "ties.jsonl", [ranking("ann", "q", ranks=(1, 1))])
    gold = write_snapshot(tmp_path / "gold.jsonl", [ranking("ann", "q", right=(1, 2))])
    for snapshot in (ties, gold):
        with pytest.raises(InputError) as caught:
            choose_feedback(snapshot, FeedbackQualityConfig())
        assert caught.value.field == "feedback"
    fine = write_snapshot(tmp_path / "fine.jsonl", [thumb("ann", "q", "x", False)])
    assert choose_feedback(fine, FeedbackQualityConfig()).kept == fine.feedback


@pytest.mark.parametrize("field", ["gold_limit", "agreement_limit", "most_per_rater"])
def test_an_impossible_setting_is_refused(field: str) -> None:
    with pytest.raises(InputError) as caught:
        FeedbackQualityConfig(**{field: -1})
    assert caught.value.field == field
