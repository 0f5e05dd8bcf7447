"""The rules by which simulated raters judge replies, read from `rules/raters.toml`.

RULES["courtesy"].value(prompt, reply)  -> 0.0 to 1.0
TASTES["balanced"]                      -> the weight of each rule
"""

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from chatwright import config
from chatwright.conversation import Message
from chatwright.starter.data_file import DataFile
from chatwright.starter.feedback.named_facts import facts_in, names_in
from chatwright.starter.feedback.prompt_kinds import SMALL_TALK
from chatwright.starter.feedback.prompts import StarterPrompt

_FILE = Path(__file__).parents[1] / "rules" / "raters.toml"
REFUSALS = DataFile("patterns/refusals.toml")
SMALL_TALK_PATTERNS = DataFile("patterns/smalltalk.toml")
_PRONOUNS = frozenset({"he", "she", "his", "her", "him"})


@dataclass(frozen=True, kw_only=True)
class RaterRule:
    """One rule of the raters. `rules/raters.toml` explains the fields."""

    name: str
    about: str
    measure: str
    kinds: tuple[str, ...] = ()
    not_kinds: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    low: int = 1
    high: int = 0

    def applies_to(self, kind: str) -> bool:
        """Whether the rule is for this kind of prompt."""
        return kind in self.kinds if self.kinds else kind not in self.not_kinds

    def value(self, prompt: StarterPrompt, reply: Message) -> float:
        """Return how well a reply satisfies the rule, from 0 to 1."""
        return _MEASURES[self.measure](self, prompt, reply.text)


def _facts(_rule: RaterRule, prompt: StarterPrompt, reply: str) -> float:
    """Return the F1 of the facts of a reply and those of the reference, counted with repetition.

    If the reference says "she", the reply may use the name instead.
    """
    reference = prompt.reference.text
    expected, given = Counter(facts_in(reference)), Counter(facts_in(reply))
    if _PRONOUNS & set(reference.lower().split()):
        asked = {name.lower() for message in prompt.messages for name in names_in(message.text)}
        for name in asked - expected.keys():
            del given[name]
    if not expected:
        return float(not given)
    n_common = (expected & given).total()
    return 2 * n_common / (expected.total() + given.total())


def _found(rule: RaterRule, text: str) -> set[str]:
    return {phrase for phrase in rule.phrases if phrase in text.lower()}


def _same_phrase(rule: RaterRule, prompt: StarterPrompt, reply: str) -> float:
    return float(_found(rule, reply) == _found(rule, prompt.reference.text))


def _phrases(rule: RaterRule, _prompt: StarterPrompt, reply: str) -> float:
    return float(bool(_found(rule, reply)))


def _wording(_rule: RaterRule, prompt: StarterPrompt, reply: str) -> float:
    """Return the largest F1 of the words of a reply and those of a right reply.

    Small talk and refusals have several right replies. Names and pronouns do not count, since a
    reply may use either.
    """
    names = {name.lower() for message in prompt.messages for name in names_in(message.text)}
    given = _plain_words(reply, names)
    return max(
        2 * (given & expected).total() / max(given.total() + expected.total(), 1)
        for expected in (_plain_words(text, names) for text in _right_replies(prompt))
    )


def _plain_words(text: str, names: set[str]) -> Counter[str]:
    words = re.findall(r"[a-z]+(?:'[a-z]+)?|\d+", text.lower())
    return Counter(
        word for word in words if word not in _PRONOUNS and word.removesuffix("'s") not in names
    )


def _right_replies(prompt: StarterPrompt) -> tuple[str, ...]:
    """Return the reference, or for small talk and refusals the patterns of all right replies."""
    reference = prompt.reference.text
    if prompt.kind == "refusal":
        is_refusal = "help with" in reference
        return REFUSALS["refusals"] if is_refusal else REFUSALS["answers"]
    if prompt.kind == SMALL_TALK:
        return max(_small_talk_replies(), key=lambda replies: _likeness(replies, reference))
    return (reference,)


@cache
def _small_talk_replies() -> tuple[tuple[str, ...], ...]:
    """Return the patterns of replies of each topic of small talk, without their slots."""
    return tuple(
        tuple(re.sub(r"\{\w+\}", "", reply) for reply in SMALL_TALK_PATTERNS[f"{topic}.replies"])
        for topic in SMALL_TALK_PATTERNS.names()
    )


def _likeness(replies: tuple[str, ...], text: str) -> float:
    words = _plain_words(text, set())
    return max((_plain_words(reply, set()) & words).total() / len(reply) for reply in replies)


def _ends_with(rule: RaterRule, _prompt: StarterPrompt, reply: str) -> float:
    return float(reply.rstrip().endswith(rule.phrases))


def _n_word(rule: RaterRule, _prompt: StarterPrompt, reply: str) -> float:
    n_word = len(reply.split())
    n_outside = max(rule.low - n_word, n_word - rule.high, 0)
    return 1 / (1 + n_outside)


def _no_repeat(rule: RaterRule, _prompt: StarterPrompt, reply: str) -> float:
    words = reply.lower().split()
    runs = [tuple(words[i : i + rule.low]) for i in range(len(words) - rule.low + 1)]
    return len(set(runs)) / len(runs) if runs else 1.0


_MEASURES: dict[str, Callable[[RaterRule, StarterPrompt, str], float]] = {
    "facts": _facts,
    "same_phrase": _same_phrase,
    "phrases": _phrases,
    "ends_with": _ends_with,
    "n_word": _n_word,
    "no_repeat": _no_repeat,
    "wording": _wording,
}


def _read_rule(name: str, table: Mapping[str, Any]) -> RaterRule:
    return config.build(RaterRule, {"name": name, **table}, _FILE.name)


_TABLE = tomllib.loads(_FILE.read_text(encoding="utf-8"))
RULES = {name: _read_rule(name, table) for name, table in _TABLE["rules"].items()}
TASTES: dict[str, dict[str, float]] = _TABLE["tastes"]


def satisfaction(taste: str, prompt: StarterPrompt, reply: Message) -> float:
    """Return the weighted mean of the rules that apply to the prompt, from 0 to 1."""
    weights = {
        name: weight
        for name, weight in TASTES[taste].items()
        if RULES[name].applies_to(prompt.kind)
    }
    total = sum(weight * RULES[name].value(prompt, reply) for name, weight in weights.items())
    return total / sum(weights.values())
