"""The judge of win rates on the starter: rules that neither raters nor rewards use.

    judge = StarterJudge.read(Path("judge.jsonl"))
    judge.judge(prompts, replies_a, replies_b)  -> 1.0 (a wins), 0.5 (tie) or 0.0 for each prompt
    judge.only("right"), judge.without("whole")    -> the same judge with other rules

A reply gets the weight of each rule that it satisfies (`starter/rules/judge.toml`); the
reply with more points wins. The prompts are from the exam side of the corpus, with templates and
names that no feedback has (`starter/feedback/prompts.py`).
"""

import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import chatwright.starter
from chatwright.conversation import Message
from chatwright.errors import InputError
from chatwright.evaluation.starter import Reply, is_right
from chatwright.starter import ExamItem
from chatwright.starter.data_file import DataFile
from chatwright.tokenizer.tool_call_text import message_text

_PACKAGE = Path(chatwright.starter.__file__).parent
_MIXTURE = DataFile("patterns/mixture.toml")
_ADDRESSED_KINDS = ("small_talk", "refusal")
# A name is a capitalized word inside a sentence; a sentence may also begin with one.
_ADDRESS_OR_NUMBER = r"[\w.]+@[\w.]+\w|\d+(?:[:-]\d+)*"
_NUMBER_OR_NAME = re.compile(rf"{_ADDRESS_OR_NUMBER}|(?<=[^.!?:] )[A-Z][a-z]+")
_WORD = re.compile(rf"{_ADDRESS_OR_NUMBER}|[a-zà-ÿ]+")
_NOT_NAMES = frozenset({"pip"})  # the assistant's own name


class Prompt(Protocol):
    """A row with a prompt, such as `data.rows.PromptRow`."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation that the replies answer."""


@dataclass(frozen=True)
class JudgeRule:
    """One rule of the judge."""

    name: str
    weight: float
    is_satisfied: Callable[[ExamItem, Message], bool]
    """Judges a reply to the prompt of an item; the reply has text."""


def _is_right(item: ExamItem, reply: Message) -> bool:
    return is_right(item, Reply(reply))


def _answers_the_question(item: ExamItem, reply: Message) -> bool:
    if item.skill == "small_talk":
        return True
    prompt = _words(" ".join(message_text(message) for message in item.messages))
    asked = prompt - set(_MIXTURE["small_words"])
    return bool(asked & _words(message_text(reply)))


def _nothing_invented(item: ExamItem, reply: Message) -> bool:
    prompt = " ".join(message_text(message) for message in item.messages)
    known = _words(f"{prompt} {message_text(item.expected)}") | _NOT_NAMES
    if item.skill in _ADDRESSED_KINDS:
        known |= _corpus_words()  # a reply to small talk may name anything of the corpus
    return _names_and_numbers(message_text(reply)) <= known


def _known_words(item: ExamItem, reply: Message) -> bool:
    prompt = " ".join(message_text(message) for message in item.messages)
    known = _words(f"{prompt} {message_text(item.expected)}") | _corpus_words()
    return _words(message_text(reply)) <= known


def _whole(item: ExamItem, reply: Message) -> bool:
    text = message_text(reply)
    # The reply of `repeat` has no full stop, which would look like a part of the value.
    ends = text.endswith((".", "!", "?")) or item.skill == "repeat"
    return ends and (text[0].isupper() or text[0].isdigit())


def _addresses_the_user(item: ExamItem, reply: Message) -> bool:
    if item.skill not in _ADDRESSED_KINDS:
        return True
    return bool({"you", "your"} & _words(message_text(reply)))


def _names_and_numbers(text: str) -> set[str]:
    return {match.lower() for match in _NUMBER_OR_NAME.findall(text)}


def _words(text: str) -> set[str]:
    """Return the words, numbers and e-mail addresses of a text in lower case."""
    return set(_WORD.findall(text.lower()))


@cache
def _corpus_words() -> frozenset[str]:
    """Return all words of the corpus' lists and patterns."""
    files = [*(_PACKAGE / "words").glob("*.toml"), *(_PACKAGE / "patterns").glob("*.toml")]
    return frozenset(
        word for file in files for word in _WORD.findall(file.read_text(encoding="utf-8").lower())
    )


def _read_rules() -> tuple[JudgeRule, ...]:
    path = _PACKAGE / "rules" / "judge.toml"
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return tuple(
        JudgeRule(name, float(values["weight"]), _CHECKS[name]) for name, values in table.items()
    )


_CHECKS: Mapping[str, Callable[[ExamItem, Message], bool]] = {
    "right": _is_right,
    "answers_the_question": _answers_the_question,
    "nothing_invented": _nothing_invented,
    "known_words": _known_words,
    "whole": _whole,
    "addresses_the_user": _addresses_the_user,
}
JUDGE_RULES = _read_rules()


class StarterJudge:
    """Judges pairs of replies by rules."""

    def __init__(self, items: Sequence[ExamItem], rules: Sequence[JudgeRule] = JUDGE_RULES) -> None:
        """Judge replies to the prompts of `items` by `rules`."""
        self.items = {item.messages: item for item in items}
        self.rules = tuple(rules)
        self.name = f"starter rules ({', '.join(rule.name for rule in rules)})"

    @classmethod
    def read(cls, path: Path) -> "StarterJudge":
        """Read the file judge.jsonl. Raises InputError if it holds no items."""
        return cls(read_items(path))

    @property
    def rule_names(self) -> tuple[str, ...]:
        """Names of the rules."""
        return tuple(rule.name for rule in self.rules)

    def only(self, name: str) -> "StarterJudge":
        """Return a judge with one rule: `right` judges correctness alone."""
        return StarterJudge(list(self.items.values()), [r for r in self.rules if r.name == name])

    def without(self, name: str) -> "StarterJudge":
        """Return a judge without one rule."""
        return StarterJudge(list(self.items.values()), [r for r in self.rules if r.name != name])

    def points(self, messages: tuple[Message, ...], reply: Message) -> float:
        """Return the sum of the weights of the rules that a reply satisfies.

        Raises InputError for a prompt that the judge does not know.
        """
        item = self.items.get(messages)
        if item is None:
            raise InputError(
                "The starter's judge does not know this prompt, so it has no rule for it.",
                remedy="Compare with the prompts of judge.jsonl (chatwright feedback prompts).",
                field="prompts",
            )
        if not message_text(reply).strip():
            return 0.0
        return sum(rule.weight for rule in self.rules if rule.is_satisfied(item, reply))

    def judge(
        self, prompts: Sequence[Prompt], a: Sequence[Message], b: Sequence[Message]
    ) -> list[float]:
        """Return 1 where reply `a` wins, 0.5 for a tie, and 0 where `b` wins."""
        outcomes = []
        for prompt, reply_a, reply_b in zip(prompts, a, b, strict=True):
            difference = self.points(prompt.messages, reply_a) - self.points(
                prompt.messages, reply_b
            )
            outcomes.append(0.5 if difference == 0 else float(difference > 0))
        return outcomes


def read_items(path: Path) -> list[ExamItem]:
    """Read the items of judge.jsonl. Raises InputError for a file without items."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    try:
        return [_item(row["item"]) for row in rows]
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{path} holds no items for the starter's judge ({type(error).__name__}: {error}).",
            remedy="Write the file with: chatwright feedback prompts FOLDER",
            field="prompts",
            value=str(path),
        ) from None


def _item(row: Mapping[str, Any]) -> ExamItem:
    return ExamItem(
        skill=row["skill"],
        messages=tuple(Message(m["role"], m["content"]) for m in row["messages"]),
        expected=Message(row["expected"]["role"], row["expected"]["content"]),
        required=tuple(tuple(group) for group in row["must"]),
        forbidden=tuple(row["forbid"]),
        forbidden_unless_denied=tuple(row["deniable"]),
        max_words=row["max_words"],
        check=row["check"],
        setting=row["book"],
        template=row["template"],
    )
