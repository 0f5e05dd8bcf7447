"""Compute the metrics of a comparison from the replies of both models and a judge's outcomes."""

from collections.abc import Sequence
from typing import Any

from chatwright.data.rows import PromptRow
from chatwright.errors import InputError
from chatwright.evaluation.chat_judge import ChatJudge
from chatwright.evaluation.judges import Judge, JudgeWithRules, Outcome, judge_pairs
from chatwright.evaluation.length_control import length_controlled
from chatwright.evaluation.win_rate import WinRate, win_rate
from chatwright.pipeline.comparison.result import Lengths
from chatwright.pipeline.comparison.samples import Replies, SampledReply
from chatwright.tokenizer.tool_call_text import message_text

CORRECTNESS_RULES = ("right", "right_number", "exact", "tool_call")
"""Rules that judge whether a reply is correct."""


def judge_replies(
    judge: Judge,
    prompts: Sequence[PromptRow],
    baseline: Replies,
    candidate: Replies,
) -> list[list[Outcome]]:
    """Return, for each prompt and sample, 1 where the candidate's reply wins, 0 where it loses."""
    n_sample = len(baseline[0])
    repeated = [prompt for prompt in prompts for _ in range(n_sample)]
    of_baseline, of_candidate = (
        [reply.message for replies in by_prompt for reply in replies]
        for by_prompt in (baseline, candidate)
    )
    flat = iter(judge_pairs(judge, repeated, of_candidate, of_baseline))
    return [[next(flat) for _ in range(n_sample)] for _ in prompts]


def comparison_metrics(
    judge: Judge,
    prompts: Sequence[PromptRow],
    baseline: Replies,
    candidate: Replies,
    outcomes: list[list[Outcome]],
    seed: int,
) -> dict[str, Any]:
    """Return the fields of a `Comparison` that follow from replies and outcomes.

    Raises InputError if no outcome is known.
    """
    judged = [[x for x in by_prompt if x is not None] for by_prompt in outcomes]
    n_unjudged = sum(x is None for by_prompt in outcomes for x in by_prompt)
    if not any(judged):
        raise InputError(
            f"The judge ({judge.name}) could not decide any of the {n_unjudged} comparisons.",
            remedy="Votes must be on exactly these replies (chatwright compare --votes-out FILE "
            "writes them); an asked model must answer A, B or tie.",
            field="judge",
            value=judge.name,
        )
    differences = [
        [
            float(_n_character(candidate_reply) - _n_character(baseline_reply))
            for baseline_reply, candidate_reply, outcome in zip(*replies, strict=True)
            if outcome is not None
        ]
        for replies in zip(baseline, candidate, outcomes, strict=True)
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
        **_by_rule(judge, prompts, baseline, candidate, seed),
        "lengths": (_lengths(baseline), _lengths(candidate)),
        "n_equal": sum(
            one.message == other.message
            for pair in zip(baseline, candidate, strict=True)
            for one, other in zip(*pair, strict=True)
        ),
        "n_unjudged": n_unjudged,
        "judge_counts": judge.counts_by_name() if isinstance(judge, ChatJudge) else {},
    }


def _by_rule(
    judge: Judge, prompts: Sequence[PromptRow], baseline: Replies, candidate: Replies, seed: int
) -> dict[str, Any]:
    """Return the win rates without each rule of the judge, and by correctness alone."""

    def rate(other: Judge) -> WinRate:
        outcomes = judge_replies(other, prompts, baseline, candidate)
        return win_rate([[x for x in row if x is not None] for row in outcomes], seed)

    if not isinstance(judge, JudgeWithRules):
        return {"without_rule": {}, "correctness": None}
    names = judge.rule_names
    correctness = next((name for name in CORRECTNESS_RULES if name in names), None)
    return {
        "without_rule": {name: rate(judge.without(name)) for name in names if len(names) > 1},
        "correctness": None if correctness is None else rate(judge.only(correctness)),
    }


def _lengths(replies: Replies) -> Lengths:
    flat = [reply for by_prompt in replies for reply in by_prompt]
    return Lengths(
        sum(reply.n_token for reply in flat) / len(flat),
        sum(map(_n_character, flat)) / len(flat),
    )


def _n_character(reply: SampledReply) -> int:
    return len(message_text(reply.message))
