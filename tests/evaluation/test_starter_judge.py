"""The judge of win rates on the starter: its rules, and that it shares none with the raters."""

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

import chatwright.starter
from chatwright.conversation import Message
from chatwright.errors import InputError
from chatwright.evaluation.starter_judge import StarterJudge, read_items
from chatwright.starter import ExamItem, make_fact_table
from chatwright.starter.feedback.prompts import draw_judge_items, judge_row
from chatwright.starter.messages import assistant, user

ITEM = ExamItem(
    skill="arithmetic",
    messages=(user("Can you count 12 and 30 together?"),),
    expected=assistant("12 plus 30 is 42."),
    required=(("42",),),
    forbidden_unless_denied=("12", "30"),
    max_words=20,
    check="number",
)


@dataclass(frozen=True)
class Row:
    messages: tuple[Message, ...]


@pytest.fixture(scope="module")
def items() -> list[ExamItem]:
    return draw_judge_items(make_fact_table(), 200, seed=0)


def outcome(a: str, b: str, judge: StarterJudge | None = None) -> float:
    judge = judge or StarterJudge([ITEM])
    return judge.judge([Row(ITEM.messages)], [assistant(a)], [assistant(b)])[0]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("12 plus 30 is 42.", "12 plus 30 is 43."),  # right
        ("12 plus 30 is so.", "It is so."),  # answers_the_question
        ("12 plus 30 is so.", "12 plus 30 is 43."),  # nothing_invented
        ("12 plus 30 is 42.", "12 plus 30 is 42. Grumf."),  # known_words
        ("12 plus 30 is 42.", "12 plus 30 is 42"),  # whole
        ("12 plus 30 is 43.", ""),
    ],
)
def test_a_reply_that_breaks_one_rule_more_loses(better: str, worse: str) -> None:
    assert outcome(better, worse) == 1.0
    assert outcome(worse, better) == 0.0
    assert outcome(better, better) == 0.5


def test_a_right_reply_wins_whatever_the_other_rules_say() -> None:
    assert outcome("grumf 12, then 30 is 42", "12 plus 30 is 43.") == 1.0


def test_rules_can_be_left_out_or_used_alone() -> None:
    judge = StarterJudge([ITEM])
    assert outcome("12 plus 30 is 42.", "12 plus 30 is 42", judge.without("whole")) == 0.5
    assert outcome("12 plus 30 is 42.", "12 plus 30 is 42", judge.only("right")) == 0.5
    assert judge.only("right").rule_names == ("right",)
    assert len(judge.rule_names) == 6


def test_small_talk_should_address_the_user(items: list[ExamItem]) -> None:
    item = next(item for item in items if item.skill == "small_talk" and item.template == "thanks")
    judge = StarterJudge([item])
    you, me = assistant("You are welcome!"), assistant("My pleasure!")
    assert judge.judge([Row(item.messages)], [you], [me]) == [1.0]


def test_the_expected_reply_of_every_item_gets_all_points(items: list[ExamItem]) -> None:
    judge = StarterJudge(items)
    for item in items:
        if item.skill != "small_talk":
            alone = judge.points(item.messages, item.expected)
            missed = [
                n
                for n in judge.rule_names
                if not judge.only(n).points(item.messages, item.expected)
            ]
            missed = [
                name for name in missed if (name, item.skill) != ("addresses_the_user", "refusal")
            ]
            assert not missed, (missed, item)
            assert alone >= 9


def test_the_judge_reads_its_file(tmp_path: Path, items: list[ExamItem]) -> None:
    path = tmp_path / "judge.jsonl"
    path.write_text("".join(json.dumps(judge_row(item)) + "\n" for item in items))
    assert read_items(path) == items
    path.write_text(json.dumps({"prompt": "Hello"}) + "\n")
    with pytest.raises(InputError):
        StarterJudge.read(path)


def test_an_unknown_prompt_is_an_error() -> None:
    judge = StarterJudge([ITEM])
    with pytest.raises(InputError) as caught:
        judge.judge([Row((user("Hello"),))], [ITEM.expected], [ITEM.expected])
    assert caught.value.field == "prompts"


def test_judge_and_raters_share_no_rule() -> None:
    folder = Path(chatwright.starter.__file__).parent / "rules"
    judge = tomllib.loads((folder / "judge.toml").read_text())
    raters = tomllib.loads((folder / "raters.toml").read_text())["rules"]
    assert not judge.keys() & raters.keys()
    assert not {r["about"] for r in judge.values()} & {r["about"] for r in raters.values()}
