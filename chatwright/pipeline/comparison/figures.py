"""The figures of a comparison from the replies of both models and the verdicts of a judge."""

from collections.abc import Sequence
from typing import Any

from chatwright.data.rows import PromptRow
from chatwright.errors import InputError
from chatwright.evaluation.chat_judge import ChatJudge
from chatwright.evaluation.judges import Judge, JudgeWithRules, Verdict, verdicts
from chatwright.evaluation.length_control import length_controlled
from chatwright.evaluation.win_rate import WinRate, win_rate
from chatwright.pipeline.comparison.result import Lengths
from chatwright.pipeline.comparison.samples import Replies, SampledReply
from chatwright.tokenizer.tool_call_text import message_text

RIGHT_RULES = ("right", "right_number", "exact", "tool_call")
"""Rules that judge whether a reply is right."""


def judge_replies(
    judge: Judge, prompts: Sequence[PromptRow], replies_a: Replies, replies_b: Replies
) -> list[list[Verdict]]:
    """Return, for each prompt and sample, 1 where B's reply wins, 0 where A's wins."""
    n_sample = len(replies_a[0])
    repeated = [prompt for prompt in prompts for _ in range(n_sample)]
    a = [reply.message for replies in replies_a for reply in replies]
    b = [reply.message for replies in replies_b for reply in replies]
    flat = iter(verdicts(judge, repeated, b, a))
    return [[next(flat) for _ in range(n_sample)] for _ in prompts]


def comparison_figures(
    judge: Judge,
    prompts: Sequence[PromptRow],
    replies_a: Replies,
    replies_b: Replies,
    outcomes: list[list[Verdict]],
    seed: int,
) -> dict[str, Any]:
    """Return the fields of a `Comparison` that follow from replies and outcomes.

    Raises InputError if the judge had no verdict at all.
    """
    judged = [[x for x in by_prompt if x is not None] for by_prompt in outcomes]
    n_unjudged = sum(x is None for by_prompt in outcomes for x in by_prompt)
    if not any(judged):
        raise InputError(
            f"The judge ({judge.name}) has no verdict on any of the {n_unjudged} comparisons.",
            remedy="Votes must be on exactly these replies (--votes-out writes them); an asked "
            "model must answer A, B or tie.",
            field="judge",
            value=judge.name,
        )
    differences = [
        [
            float(_n_character(b) - _n_character(a))
            for a, b, outcome in zip(*replies, strict=True)
            if outcome is not None
        ]
        for replies in zip(replies_a, replies_b, outcomes, strict=True)
    ]
    kinds = sorted({prompt.kind for prompt in prompts if prompt.kind})
    return {
        "win_rate": win_rate(judged, seed),
        "length_controlled": length_controlled(judged, differences, seed),
        "by_kind": {
            kind: win_rate(of_kind, seed)
            for kind in kinds
            if any(of_kind := [x for p, x in zip(prompts, judged, strict=True) if p.kind == kind])
        },
        **_by_rule(judge, prompts, replies_a, replies_b, seed),
        "lengths": (_lengths(replies_a), _lengths(replies_b)),
        "n_equal": sum(
            a.message == b.message
            for pair in zip(replies_a, replies_b, strict=True)
            for a, b in zip(*pair, strict=True)
        ),
        "n_unjudged": n_unjudged,
        "judge_figures": judge.figures() if isinstance(judge, ChatJudge) else {},
    }


def _by_rule(
    judge: Judge, prompts: Sequence[PromptRow], a: Replies, b: Replies, seed: int
) -> dict[str, Any]:
    """Return the win rates without each rule of the judge, and by correctness alone."""

    def rate(other: Judge) -> WinRate:
        outcomes = judge_replies(other, prompts, a, b)
        return win_rate([[x for x in row if x is not None] for row in outcomes], seed)

    if not isinstance(judge, JudgeWithRules):
        return {"without_rule": {}, "right": None}
    names = judge.rule_names
    right = next((name for name in RIGHT_RULES if name in names), None)
    return {
        "without_rule": {name: rate(judge.without(name)) for name in names if len(names) > 1},
        "right": None if right is None else rate(judge.only(right)),
    }


def _lengths(replies: Replies) -> Lengths:
    flat = [reply for by_prompt in replies for reply in by_prompt]
    return Lengths(
        sum(reply.n_token for reply in flat) / len(flat),
        sum(map(_n_character, flat)) / len(flat),
    )


def _n_character(reply: SampledReply) -> int:
    return len(message_text(reply.message))
