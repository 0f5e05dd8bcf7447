"""Mix all kinds of conversation for training, and draw the exam (the held-out evaluation set).

Some conversations continue with another topic. Some user messages have typing errors, and some
leave out small words such as articles.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from chatwright.conversation import Message
from chatwright.starter.conversations import (
    arithmetic,
    closed_book,
    corrections,
    false_premises,
    follow_up,
    jokes,
    open_book,
    passages,
    refusals,
    repeat,
    sentiment,
    smalltalk,
    stopping,
    tool_calls,
    translation,
)
from chatwright.starter.data_file import DataFile
from chatwright.starter.exam_item import ExamItem
from chatwright.starter.fact_table import FactTable
from chatwright.starter.messages import assistant, user

Turns = list[Message]


class ExaminedModule(Protocol):
    """A module whose skills the exam scores."""

    @property
    def SKILLS(self) -> tuple[str, ...]:
        """The names of the skills."""

    def draw_conversation(self, table: FactTable, rng: random.Random, /) -> Turns:
        """Draw a training conversation."""

    def draw_exam_item(self, table: FactTable, rng: random.Random, skill: str, /) -> ExamItem:
        """Draw an exam item of one of the skills."""


@dataclass(frozen=True, kw_only=True)
class ConversationKind:
    """One kind of conversation and its weight among the training conversations."""

    weight: float
    """Relative weight; kinds that are hard to learn or often asked have more."""
    draw: Callable[[FactTable, random.Random], Turns]
    skills: tuple[str, ...] = ()
    draw_exam_item: Callable[[FactTable, random.Random, str], ExamItem] | None = None
    allows_typos: bool = False
    """Whether user messages may get typing errors."""
    needs_every_word: bool = False
    """Whether the answer can change if the question loses a small word."""


def _kind_with_exam(
    module: ExaminedModule,
    weight: float,
    allows_typos: bool = False,
    needs_every_word: bool = False,
) -> ConversationKind:
    return ConversationKind(
        weight=weight,
        draw=module.draw_conversation,
        skills=module.SKILLS,
        draw_exam_item=module.draw_exam_item,
        allows_typos=allows_typos,
        needs_every_word=needs_every_word,
    )


KINDS = (
    ConversationKind(weight=5, draw=smalltalk.draw_conversation, allows_typos=True),
    _kind_with_exam(closed_book, weight=11, allows_typos=True),
    _kind_with_exam(open_book, weight=10),
    _kind_with_exam(follow_up, weight=9, allows_typos=True),
    _kind_with_exam(corrections, weight=12),
    _kind_with_exam(false_premises, weight=10),
    _kind_with_exam(refusals, weight=7, allows_typos=True),
    _kind_with_exam(tool_calls, weight=9),
    _kind_with_exam(sentiment, weight=10, needs_every_word=True),
    _kind_with_exam(passages, weight=15),
    _kind_with_exam(translation, weight=3, needs_every_word=True),
    _kind_with_exam(repeat, weight=7),
    _kind_with_exam(arithmetic, weight=10),
    _kind_with_exam(jokes, weight=4, allows_typos=True),
    _kind_with_exam(stopping, weight=11),
)
SKILLS = tuple(skill for kind in KINDS for skill in kind.skills)
_PATTERNS = DataFile("patterns/mixture.toml")
_ONE_TOPIC_SHARE = 0.8  # of the conversations
_SYSTEM_MESSAGE_SHARE = 0.08  # of the conversations
_CAPITALS_SHARE = 0.015  # of the topics: the user writes in capitals
_TYPO_SHARE = 0.2  # of the topics whose kind allows typing errors
_SHORTENED_SHARE = 0.15  # of the topics: the user leaves out small words


def draw_conversations(
    table: FactTable, rng: random.Random, count: int
) -> Iterator[tuple[Message, ...]]:
    """Draw `count` training conversations."""
    weights = [kind.weight for kind in KINDS]
    for _ in range(count):
        n_topics = 1 if rng.random() < _ONE_TOPIC_SHARE else rng.choice((2, 2, 3))
        turns: Turns = []
        if rng.random() < _SYSTEM_MESSAGE_SHARE:
            turns.append(Message("system", rng.choice(_PATTERNS["system_messages"])))
        for kind in rng.choices(KINDS, weights, k=n_topics):
            turns += _draw_topic(kind, table, rng)
        yield tuple(turns)


def _draw_topic(kind: ConversationKind, table: FactTable, rng: random.Random) -> Turns:
    turns = kind.draw(table, rng)
    if rng.random() < _CAPITALS_SHARE:
        # To the tokenizer, a word in capitals is a different word, so the reply asks to repeat it.
        reply = _PATTERNS.text("reply_to_capitals")
        return [user(turns[0].text.upper()), assistant(reply)]
    if kind.allows_typos:
        turns = _with_typos(turns, rng)
    return turns if kind.needs_every_word else _without_small_words(turns, rng)


def _with_typos(turns: Turns, rng: random.Random) -> Turns:
    """Write some user messages without capitals or punctuation, or with two letters swapped."""
    draw = rng.random()
    if draw > _TYPO_SHARE:
        return turns
    return [
        user(_carelessly_typed(turn.text, draw, rng)) if turn.role == "user" else turn
        for turn in turns
    ]


def _carelessly_typed(text: str, draw: float, rng: random.Random) -> str:
    if draw < 0.08:
        return text.lower()
    if draw < 0.12 and len(text) > 8:
        i = rng.randrange(1, len(text) - 2)
        return text[:i] + text[i + 1] + text[i] + text[i + 2 :]
    return text.rstrip("?.!") or text


def _without_small_words(turns: Turns, rng: random.Random) -> Turns:
    """Leave out some small words of some user messages.

    A model that learns from such messages reads the words that matter, instead of recognizing
    whole sentences.
    """
    if rng.random() > _SHORTENED_SHARE:
        return turns
    return [user(_shortened(turn.text, rng)) if turn.role == "user" else turn for turn in turns]


def _shortened(text: str, rng: random.Random) -> str:
    small_words = _PATTERNS["small_words"]
    kept = [
        word for word in text.split(" ") if word.lower() not in small_words or rng.random() > 0.35
    ]
    return " ".join(kept) or text


def draw_exam(table: FactTable, seed: int, n_per_skill: int) -> list[ExamItem]:
    """Draw up to `n_per_skill` different items of every skill; a small fact table gives fewer.

    No training conversation contains one of the questions.
    """
    items: list[ExamItem] = []
    for kind in KINDS:
        for skill in kind.skills:
            assert kind.draw_exam_item is not None
            rng = random.Random(f"starter-heldout-{seed}-{skill}")
            by_prompt: dict[tuple[Message, ...], ExamItem] = {}
            for _ in range(40 * n_per_skill):
                item = kind.draw_exam_item(table, rng, skill)
                by_prompt.setdefault(item.messages, item)
                if len(by_prompt) == n_per_skill:
                    break
            items += by_prompt.values()
    return items
