"""All kinds of conversation and their shares, and how they are mixed: alone, one after another, with hasty typing.

A module here offers `train(world, rng)`, a fresh conversation, and (where its skill is scored) `SKILLS` and
`held_out(world, rng, skill)`.
"""

import random
from collections.abc import Iterator
from types import ModuleType

from chatwright.conversation import Message
from chatwright.starter.conversations import (
    arithmetic,
    commands,
    corrections,
    facts,
    follow_up,
    jokes,
    open_facts,
    passages,
    premises,
    refusals,
    repeat,
    sentiment,
    smalltalk,
    stopping,
    translation,
)
from chatwright.starter.fact_table import FactTable
from chatwright.starter.item import Item, assistant, user
from chatwright.starter.words import listed

# Shares of the training conversations, in percent; what is hard to learn or most asked for gets more.
SHARES: dict[ModuleType, float] = {
    smalltalk: 5,
    facts: 11,
    open_facts: 10,
    follow_up: 9,
    corrections: 12,
    premises: 10,
    refusals: 7,
    commands: 9,
    sentiment: 10,
    passages: 15,
    translation: 3,
    repeat: 7,
    arithmetic: 10,
    jokes: 4,
    stopping: 11,
}
SKILLS: dict[str, ModuleType] = {
    skill: module for module in SHARES for skill in getattr(module, "SKILLS", ())
}
_MAY_BE_HASTY = frozenset({smalltalk, facts, refusals, jokes, follow_up})
_SYSTEM = (
    "You are Pip, a friendly assistant.",
    "You are a helpful assistant.",
    "Your name is Pip. Answer briefly.",
)
_EVERY_WORD_COUNTS = frozenset({translation, sentiment})
# To this model a word in capitals is another word, of which it knows nothing: it says so instead of guessing.
_CAPITALS = "I cannot read capitals well. Please write that again in small letters."
_FILLERS = frozenset(
    listed(
        "a an the of is are do does did to for me please can could you it that this there in on at what which how tell give and so"
    )
)
ALONE = 0.8  # share of conversations about one thing only; the others go on to something else


def training(world: FactTable, rng: random.Random, count: int) -> Iterator[tuple[Message, ...]]:
    modules, shares = list(SHARES), list(SHARES.values())
    for _ in range(count):
        parts = 1 if rng.random() < ALONE else rng.choice((2, 2, 3))
        conversation: list[Message] = []
        if rng.random() < 0.08:
            conversation.append(Message("system", rng.choice(_SYSTEM)))
        for module in rng.choices(modules, shares, k=parts):
            turns: list[Message] = module.train(world, rng)
            if rng.random() < 0.015:
                conversation += [user(turns[0].text.upper()), assistant(_CAPITALS)]
                continue
            if module in _MAY_BE_HASTY:
                turns = _hasty(turns, rng)
            conversation += turns if module in _EVERY_WORD_COUNTS else _terse(turns, rng)
        yield tuple(conversation)


def _hasty(turns: list[Message], rng: random.Random) -> list[Message]:
    """People write without capitals, without a question mark, with a slip; what they mean is the same."""
    draw = rng.random()
    if draw > 0.2:
        return turns
    return [user(_typed(turn.text, draw, rng)) if turn.role == "user" else turn for turn in turns]


def _typed(text: str, draw: float, rng: random.Random) -> str:
    if draw < 0.08:
        return text.lower()
    if draw < 0.12 and len(text) > 8:
        at = rng.randrange(1, len(text) - 2)
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text.rstrip("?.!") or text


def _terse(turns: list[Message], rng: random.Random) -> list[Message]:
    """Some people leave out small words. A model that has met this goes by the words that matter, not by a whole sentence it remembers."""
    if rng.random() > 0.15:
        return turns
    return [
        user(_without_fillers(turn.text, rng)) if turn.role == "user" else turn for turn in turns
    ]


def _without_fillers(text: str, rng: random.Random) -> str:
    kept = [word for word in text.split(" ") if word.lower() not in _FILLERS or rng.random() > 0.35]
    return " ".join(kept) or text


def held_out(world: FactTable, seed: int, n_per_skill: int) -> list[Item]:
    """Up to `n_per_skill` different items of every scored skill, none asked in a way that training asks; a small world has fewer."""
    items: list[Item] = []
    for skill, module in SKILLS.items():
        rng = random.Random(f"starter-heldout-{seed}-{skill}")
        seen: dict[tuple[Message, ...], Item] = {}
        for _ in range(40 * n_per_skill):
            item = module.held_out(world, rng, skill)
            seen.setdefault(item.messages, item)
            if len(seen) == n_per_skill:
                break
        items += seen.values()
    return items
