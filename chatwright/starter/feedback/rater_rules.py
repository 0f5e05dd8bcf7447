"""The rules by which simulated raters judge replies, read from `patterns/rater_rules.toml`.

RULES["courtesy"].value(prompt, reply)  -> 0.0 to 1.0
TASTES["balanced"]                      -> the weight of each rule
"""

import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwright import config
from chatwright.conversation import Message
from chatwright.starter.feedback.named_facts import facts_in, names_in
from chatwright.starter.feedback.prompts import StarterPrompt

_FILE = Path(__file__).parents[1] / "patterns" / "rater_rules.toml"
_PRONOUNS = frozenset({"he", "she", "his", "her", "him"})


@dataclass(frozen=True, kw_only=True)
class RaterRule:
    """One rule of the raters. `patterns/rater_rules.toml` explains the fields."""

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


def _contains(rule: RaterRule, text: str) -> bool:
    return any(phrase in text.lower() for phrase in rule.phrases)


def _same_phrase(rule: RaterRule, prompt: StarterPrompt, reply: str) -> float:
    return float(_contains(rule, reply) == _contains(rule, prompt.reference.text))


def _phrases(rule: RaterRule, _prompt: StarterPrompt, reply: str) -> float:
    return float(_contains(rule, reply))


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
