"""Judges of pairs of replies: which of two replies to a prompt is better.

    judge.judge(prompts, replies_a, replies_b) -> 1 (a wins), 0.5 (tie), 0 (b wins) or None

None means that the outcome is unknown, for example because nobody voted on the pair. A judge is
deterministic: asked again, it gives the same outcomes.

    RuleJudge         rules that need no model
    ScoreJudge        a reward model, or anything else that scores single replies
    vote_judge        people's votes
    chat_judge        a language model behind an OpenAI-compatible API
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from chatwright.conversation import Message
from chatwright.data.rows import PromptRow
from chatwright.evaluation.win_rate import TIE

Outcome = float | None
"""1 where the first reply wins, 0.5 for a tie, 0 where the second wins, None if unknown."""
Rule = Callable[[PromptRow, Message], float]
"""Returns the points of a reply to a prompt, usually 1 or 0."""
Scores = Callable[[Sequence[PromptRow], Sequence[Message]], Sequence[float]]
"""Returns a score for each reply."""


class Judge(Protocol):
    """Decides which of two replies to a prompt is better."""

    name: str

    def judge(
        self, prompts: Sequence[PromptRow], a: Sequence[Message], b: Sequence[Message]
    ) -> Sequence[Outcome]:
        """Return 1 where reply a wins, 0.5 for a tie, 0 where reply b wins, None if unknown."""
        ...


@runtime_checkable
class JudgeWithRules(Protocol):
    """A judge whose rules can be used one by one."""

    name: str

    @property
    def rule_names(self) -> tuple[str, ...]:
        """Names of the rules."""

    def only(self, name: str) -> Judge:
        """Return a judge with one of the rules."""

    def without(self, name: str) -> Judge:
        """Return a judge without one of the rules."""


class ScoreJudge:
    """The reply with the higher score wins; equal scores are a tie."""

    def __init__(self, name: str, scores: Scores) -> None:
        """Take the function that scores replies."""
        self.name = name
        self.scores = scores

    def judge(
        self, prompts: Sequence[PromptRow], a: Sequence[Message], b: Sequence[Message]
    ) -> list[Outcome]:
        """Compare the scores of each pair."""
        pairs = zip(self.scores(prompts, a), self.scores(prompts, b), strict=True)
        return [_outcome(first, second) for first, second in pairs]


class RuleJudge(ScoreJudge):
    """The reply with more points by the rules wins."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        """Take the rules by name."""
        super().__init__(f"rules {', '.join(rules)}", self._points)
        self.rules = dict(rules)

    @property
    def rule_names(self) -> tuple[str, ...]:
        """Names of the rules."""
        return tuple(self.rules)

    def only(self, name: str) -> "RuleJudge":
        """Return a judge with one of the rules."""
        return RuleJudge({name: self.rules[name]})

    def without(self, name: str) -> "RuleJudge":
        """Return a judge without one of the rules."""
        return RuleJudge({other: rule for other, rule in self.rules.items() if other != name})

    def _points(self, prompts: Sequence[PromptRow], replies: Sequence[Message]) -> list[float]:
        return [
            sum(rule(prompt, reply) for rule in self.rules.values())
            for prompt, reply in zip(prompts, replies, strict=True)
        ]


def _outcome(first: float, second: float) -> float:
    return TIE if first == second else float(first > second)


def judge_pairs(
    judge: Judge, prompts: Sequence[PromptRow], a: Sequence[Message], b: Sequence[Message]
) -> list[Outcome]:
    """Judge all pairs; equal replies are a tie, and the judge is not asked about them."""
    results: list[Outcome] = [TIE] * len(prompts)
    asked = [i for i in range(len(prompts)) if a[i] != b[i]]
    if asked:
        judged = judge.judge(
            [prompts[i] for i in asked], [a[i] for i in asked], [b[i] for i in asked]
        )
        for i, outcome in zip(asked, judged, strict=True):
            results[i] = outcome
    return results
