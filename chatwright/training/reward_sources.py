"""Where rewards come from: rules that check a reply, and models that score it.

A source gives one number to each reply. `Rewards` adds the numbers of several sources, with a
weight each, and keeps them apart for the log.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from chatwright.conversation import Message
from chatwright.data.rows import PromptRow
from chatwright.errors import InputError
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.tokenizer.tool_call_text import message_text, write_tool_call
from chatwright.training.rollouts import Rollout

NUMBER = re.compile(r"(?<![\d.])-?\d+(?:,\d{3})*(?:\.\d+)?")
NAMED_FORMATS = {
    "one_sentence": r"[^.!?]+[.!?]",
    "json": r"\s*\{.*\}\s*",
    "thinking": r"<think>.+</think>.+",
    "number": r"\s*-?\d+(?:\.\d+)?\s*",
}
"""Formats that `format` knows by name; another name is a regular expression."""


class RewardSource(Protocol):
    """Scores replies by their text."""

    @property
    def name(self) -> str:
        """Name of the source in the log."""
        ...

    def scores(self, prompts: Sequence[PromptRow], replies: Sequence[Message]) -> list[float]:
        """Return one number for each reply; `prompts` has the prompt of each."""
        ...


@dataclass(frozen=True)
class RuleSource:
    """A rule that looks at one reply at a time."""

    name: str
    rule: Callable[[PromptRow, Message], float]

    def scores(self, prompts: Sequence[PromptRow], replies: Sequence[Message]) -> list[float]:
        """Apply the rule to each reply."""
        pairs = zip(prompts, replies, strict=True)
        return [self.rule(prompt, reply) for prompt, reply in pairs]


def right_number(prompt: PromptRow, reply: Message) -> float:
    """Return 1 if the last number of the reply is the answer, else 0."""
    found = NUMBER.findall(message_text(reply))
    return float(bool(found) and _number(found[-1]) == _number(_answer(prompt)))


def exact(prompt: PromptRow, reply: Message) -> float:
    """Return 1 if the reply is the answer, white space at both ends aside, else 0."""
    return float(not reply.tool_calls and message_text(reply).strip() == _answer(prompt))


def tool_call(prompt: PromptRow, reply: Message) -> float:
    """Return 1 if the reply is the tool call that the answer states, else 0."""
    is_equal = [
        " ".join(write_tool_call(call).split()) == " ".join(_answer(prompt).split())
        for call in reply.tool_calls
    ]
    return float(is_equal == [True])


def format_rule(pattern: str) -> Callable[[PromptRow, Message], float]:
    """Return a rule: 1 if the whole reply matches a named format or a regular expression."""
    try:
        compiled = re.compile(NAMED_FORMATS.get(pattern, pattern), re.DOTALL)
    except re.error as error:
        raise InputError(
            f"reward.format is {pattern!r}, which is no regular expression: {error}.",
            remedy=f"Correct it, or give one of the names {', '.join(NAMED_FORMATS)}.",
            field="reward.format",
            value=pattern,
        ) from None
    return lambda _, reply: float(compiled.fullmatch(message_text(reply).strip()) is not None)


def _answer(prompt: PromptRow) -> str:
    assert prompt.answer is not None, "require_answers refuses prompts without an answer"
    return prompt.answer


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


RULES: dict[str, Callable[[PromptRow, Message], float]] = {
    "right_number": right_number,
    "exact": exact,
    "tool_call": tool_call,
}
"""Rules that compare the reply with the prompt's answer."""
TOKEN_RULES: dict[str, Callable[[Rollout], float]] = {
    "shorter": lambda rollout: -float(len(rollout.reply_ids)),
    "stops": lambda rollout: float(rollout.reason == "stop"),
}
"""Rules that look at the tokens of a reply: fewer of them; whether the model ended it itself."""
FORMAT = "format"
RULE_NAMES = (*RULES, FORMAT, *TOKEN_RULES)


@dataclass(frozen=True, kw_only=True)
class RewardConfig:
    """Settings of the reward: the weighted sum of rules and of a model."""

    rules: dict[str, float] = field(default_factory=dict)
    """Weights of rules: right_number, exact, tool_call, format, shorter, stops."""
    format: str = ""
    """For the rule format: one_sentence, json, thinking, number, or a regular expression."""
    model: str = ""
    """Directory of a reward model."""
    model_weight: float = 1.0
    """Weight of the reward model's score."""

    def __post_init__(self) -> None:
        for name in self.rules:
            if name not in RULE_NAMES:
                raise InputError(
                    f"reward.rules names {name!r}, which is no rule.",
                    remedy=f"Use {', '.join(RULE_NAMES)}.",
                    field=f"reward.rules.{name}",
                    value=name,
                )
        if bool(self.format) != (FORMAT in self.rules):
            raise InputError(
                "reward.format and the rule format need each other.",
                remedy="Set both, such as reward.rules.format=1.0 reward.format=one_sentence.",
                field="reward.format",
                value=self.format,
            )
        if not self.rules and not self.model:
            raise InputError(
                "There is no reward: neither a rule nor a reward model.",
                remedy="Set for example reward.rules.right_number=1.0, or reward.model=DIR.",
                field="reward.rules",
            )


@dataclass(frozen=True)
class RewardScores:
    """The rewards of N replies: their sum, and each source's part without its weight."""

    total: list[float]
    by_source: dict[str, list[float]]


class Rewards:
    """The weighted sum of several sources."""

    def __init__(
        self, config: RewardConfig, tokenizer: Tokenizer, others: Sequence[RewardSource] = ()
    ) -> None:
        """Set up the rules of `config`; `others`, such as a reward model, share `model_weight`."""
        self.config = config
        self.tokenizer = tokenizer
        self.weights = {**config.rules, **{source.name: config.model_weight for source in others}}
        self.sources: list[RewardSource] = [
            RuleSource(name, RULES[name]) for name in config.rules if name in RULES
        ]
        if FORMAT in config.rules:
            self.sources.append(RuleSource(FORMAT, format_rule(config.format)))
        self.sources += others

    def require_answers(self, prompts: Sequence[PromptRow]) -> None:
        """Raise InputError if a rule compares with answers and a prompt has none."""
        needed = [name for name in self.config.rules if name in RULES]
        missing = next((row for row in prompts if row.answer is None), None)
        if needed and missing is not None:
            raise InputError(
                f"{missing.location}: the rule {needed[0]} needs an answer, and this prompt has "
                "none.",
                remedy="Add the column answer, or use another rule.",
                field="answer",
            )

    def describe(self) -> dict[str, str]:
        """Return the hashes of the models among the sources, which identify a run."""
        identities = {source.name: getattr(source, "identity", "") for source in self.sources}
        return {name: identity for name, identity in identities.items() if identity}

    def scores(self, prompts: Sequence[PromptRow], rollouts: Sequence[Rollout]) -> RewardScores:
        """Score each rollout; `prompts` has the prompt of each."""
        by_source: dict[str, list[float]] = {}
        if self.sources:
            replies = [rollout.message(self.tokenizer) for rollout in rollouts]
            for source in self.sources:
                by_source[source.name] = source.scores(prompts, replies)
        for name, rule in TOKEN_RULES.items():
            if name in self.weights:
                by_source[name] = [rule(rollout) for rollout in rollouts]
        total = [
            sum(self.weights[name] * scores[index] for name, scores in by_source.items())
            for index in range(len(rollouts))
        ]
        return RewardScores(total, by_source)
