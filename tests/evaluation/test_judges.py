"""Judges: equal replies tie, swapped replies give the complement, unknown pairs have no outcome."""

import pytest

from chatwright.conversation import Message
from chatwright.data.rows import Location, PromptRow, RankedRow
from chatwright.evaluation.judges import Judge, JudgeWithRules, RuleJudge, ScoreJudge, judge_pairs
from chatwright.evaluation.vote_judge import VoteJudge

NOWHERE = Location("test")
TEXTS = ("It is 7.", "It is 12.", "", "12", "A longer reply.")
REPLIES = [Message("assistant", text) for text in TEXTS]


def prompt(text: str = "What is 5 + 7?", answer: str = "12") -> PromptRow:
    return PromptRow((Message("user", text),), NOWHERE, answer)


def has_answer(row: PromptRow, reply: Message) -> float:
    return float(row.answer in reply.text.rstrip("."))


def is_short(_: PromptRow, reply: Message) -> float:
    return float(len(reply.text) < 9)


def length_judge() -> ScoreJudge:
    return ScoreJudge("length", lambda _, replies: [float(len(r.text)) for r in replies])


def votes(*rankings: tuple[str, ...], ranks: tuple[int, ...] = (1, 2)) -> VoteJudge:
    """A judge of rankings of texts that answer `prompt()`."""
    return VoteJudge(
        RankedRow(
            prompt().messages,
            tuple((Message("assistant", text),) for text in texts),
            ranks,
            f"rater {number}",
            NOWHERE,
        )
        for number, texts in enumerate(rankings)
    )


JUDGES: list[Judge] = [
    RuleJudge({"right": has_answer, "short": is_short}),
    length_judge(),
    votes(("It is 12.", "It is 7.", "12"), ranks=(1, 2, 2)),
]


@pytest.mark.parametrize("judge", JUDGES, ids=lambda judge: judge.name)
def test_a_model_against_itself_ties_and_swapped_replies_give_the_complement(judge: Judge) -> None:
    pairs = [(a, b) for a in REPLIES for b in REPLIES]
    prompts = [prompt()] * len(pairs)
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    assert judge_pairs(judge, prompts, first, first) == [0.5] * len(pairs)
    forward = judge_pairs(judge, prompts, first, second)
    backward = judge_pairs(judge, prompts, second, first)
    assert forward == [None if x is None else 1 - x for x in backward]
    assert forward == judge_pairs(judge, prompts, first, second), "asked again, it says the same"


def test_rules_add_up_and_can_be_used_alone_or_left_out() -> None:
    """Points: "It is 12." is right, "It is 7." and "" are short, "12" is both."""
    judge = RuleJudge({"right": has_answer, "short": is_short})
    assert isinstance(judge, JudgeWithRules)
    a, b = [REPLIES[3], REPLIES[1], REPLIES[0]], [REPLIES[1], REPLIES[0], REPLIES[2]]
    prompts = [prompt()] * 3
    assert judge.judge(prompts, a, b) == [1.0, 0.5, 0.5]
    assert judge.only("right").judge(prompts, a, b) == [0.5, 1.0, 0.5]
    assert judge.without("right").judge(prompts, a, b) == [1.0, 0.0, 0.5]


def test_equal_replies_are_not_shown_to_the_judge() -> None:
    asked: list[int] = []

    def scores(prompts: object, replies: object) -> list[float]:
        asked.append(len(list(replies)))  # type: ignore[call-overload]
        return [1.0] * asked[-1]

    result = judge_pairs(ScoreJudge("counts", scores), [prompt()] * 5, REPLIES, [REPLIES[0]] * 5)
    assert result == [0.5] * 5
    assert asked == [4, 4]


def test_votes_on_the_same_pair_count_as_their_mean() -> None:
    judge = votes(("It is 12.", "It is 7."), ("It is 12.", "It is 7."), ("It is 7.", "It is 12."))
    assert judge.judge([prompt()], [REPLIES[1]], [REPLIES[0]]) == [pytest.approx(2 / 3)]
    assert judge.n_vote == 3


def test_a_ranking_of_three_holds_three_pairs_and_ties() -> None:
    judge = votes(("It is 12.", "It is 7.", "12"), ranks=(1, 2, 2))
    assert judge.n_vote == 3
    assert judge.judge([prompt()] * 2, [REPLIES[1], REPLIES[0]], [REPLIES[3], REPLIES[3]]) == [
        1.0,
        0.5,
    ]


def test_pairs_without_votes_and_other_prompts_have_no_outcome() -> None:
    judge = votes(("It is 12.", "It is 7."))
    assert judge.judge([prompt()], [REPLIES[1]], [REPLIES[4]]) == [None]
    assert judge.judge([prompt("Other?")], [REPLIES[1]], [REPLIES[0]]) == [None]
