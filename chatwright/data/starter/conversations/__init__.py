"""All kinds of conversation and their shares, and how they are mixed: alone, one after another, with hasty typing.

A module here offers `train(world, rng)`, a fresh conversation, and (where its skill is scored) `held_out(world, rng, skill)`.
"""

import random
from collections.abc import Callable, Iterator
from types import ModuleType

from chatwright.conversation import Message
from chatwright.data.starter.conversations import arithmetic, facts, smalltalk
from chatwright.data.starter.item import Item
from chatwright.data.starter.world import World

# Shares of the training conversations; what is hard to learn or most asked for gets more.
KINDS: dict[ModuleType, float] = {smalltalk: 8, facts: 20, arithmetic: 14}


def training(world: World, rng: random.Random, count: int) -> Iterator[tuple[Message, ...]]:
    modules, weights = list(KINDS), list(KINDS.values())
    for _ in range(count):
        parts = 1 if rng.random() < 0.7 else rng.choice((2, 2, 3))
        conversation: list[Message] = []
        for module in rng.choices(modules, weights, k=parts):
            makers: Callable[[World, random.Random], list[Message]] = module.train
            conversation += makers(world, rng)
        yield tuple(conversation)


def held_out(world: World, seed: int, n_per_skill: int) -> list[Item]:
    """`n_per_skill` different items of every scored skill, none said in a way that training says it."""
    items: list[Item] = []
    for module in KINDS:
        for skill in getattr(module, "SKILLS", ()):
            rng = random.Random(f"starter-heldout-{seed}-{skill}")
            seen: dict[tuple[Message, ...], Item] = {}
            for _ in range(40 * n_per_skill):
                item = module.held_out(world, rng, skill)
                seen.setdefault(item.messages, item)
                if len(seen) == n_per_skill:
                    break
            else:
                raise ValueError(f"size is too small for {n_per_skill} different items of {skill}: only {len(seen)}. Ask for fewer or a larger size")
            items += seen.values()
    return items
