"""The kinds of prompts that feedback is about, each with a training side and an exam side."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chatwright.conversation import Message
from chatwright.starter.conversations import (
    arithmetic,
    closed_book,
    corrections,
    false_premises,
    follow_up,
    open_book,
    passages,
    refusals,
    repeat,
    sentiment,
    smalltalk,
    stopping,
)
from chatwright.starter.conversations.mixture import ExaminedModule
from chatwright.starter.data_file import DataFile
from chatwright.starter.exam_item import ExamItem
from chatwright.starter.fact_table import FactTable
from chatwright.starter.messages import assistant, user
from chatwright.starter.phrasing import as_sentence

SMALL_TALK = "small_talk"
_JUDGE_SMALL_TALK = DataFile("patterns/judge_small_talk.toml")
_TOPICS = tuple(name for name in _JUDGE_SMALL_TALK.names() if name != "fragments")


@dataclass(frozen=True)
class PromptKind:
    """One kind of prompt."""

    name: str
    weight: int
    """Share among the prompts, relative to the other kinds."""
    draw_turns: Callable[[FactTable, random.Random], Sequence[Message]]
    """Draws a training conversation; its last message is a right reply."""
    draw_item: Callable[[FactTable, random.Random], ExamItem]
    """Draws an item for the judge, with templates and names that no training text has."""


def _draw_small_talk_item(_table: FactTable, rng: random.Random) -> ExamItem:
    """Draw small talk for the judge, and the phrases that make a reply right."""
    file, topic = _JUDGE_SMALL_TALK, rng.choice(_TOPICS)
    text = as_sentence(file.draw(f"{topic}.messages", rng))
    if subjects := file.get(f"{topic}.topics"):
        text = text.format(topic=rng.choice(subjects))
    required = file[f"{topic}.required"]
    return ExamItem(
        skill=SMALL_TALK,
        messages=(user(text),),
        expected=assistant(required[0]),
        required=(required,),
        forbidden=file[f"{topic}.forbidden"],
        template=topic,
    )


def _draw_problem(_table: FactTable, rng: random.Random) -> Sequence[Message]:
    """Draw one problem with its numbers in digits, so that its key does not depend on spelling."""
    while True:
        turns = arithmetic.draw_turns(rng)
        if any(character.isdigit() for character in turns[-1].text):
            return turns


def _kind(name: str, weight: int, module: ExaminedModule) -> PromptKind:
    def draw_item(table: FactTable, rng: random.Random) -> ExamItem:
        return module.draw_exam_item(table, rng, rng.choice(module.SKILLS))

    return PromptKind(name, weight, module.draw_conversation, draw_item)


# Kinds whose replies differ most between samples have more weight. Tool calls, translations and
# jokes are left out: the starter's replies to them hardly differ in quality.
PROMPT_KINDS = (
    PromptKind(SMALL_TALK, 2, smalltalk.draw_conversation, _draw_small_talk_item),
    _kind("refusal", 2, refusals),
    _kind("fact_closed", 1, closed_book),
    _kind("fact_open", 1, open_book),
    _kind("follow_up", 1, follow_up),
    _kind("correction", 1, corrections),
    _kind("false_premise", 1, false_premises),
    _kind("sentiment", 2, sentiment),
    _kind("passage", 2, passages),
    _kind("repeat", 2, repeat),
    PromptKind("arithmetic", 3, _draw_problem, _kind("arithmetic", 3, arithmetic).draw_item),
    _kind("stop", 1, stopping),
)
