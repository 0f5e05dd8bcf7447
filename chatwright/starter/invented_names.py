"""Invent names of people and towns, which a model can only know by reading them in the text.

`split.is_held_out` assigns each name to training or to the exam, the held-out evaluation set.
"""

import random
from collections.abc import Callable, Iterable

from chatwright.starter.split import is_held_out
from chatwright.starter.word_lists import NAMES, THINGS

_KNOWN_NAMES = frozenset(
    [*NAMES["girls"], *NAMES["boys"], *NAMES["towns"]]
    + [noun.capitalize() for noun in THINGS["objects"]]
)


def invent_person_name(rng: random.Random, for_exam: bool) -> str:
    """Invent a person's name for training or for the exam."""
    return _invent(rng, "person_endings", for_exam)


def invent_town_name(rng: random.Random, for_exam: bool) -> str:
    """Invent a town's name for training or for the exam."""
    return _invent(rng, "town_endings", for_exam)


def _invent(rng: random.Random, endings: str, for_exam: bool) -> str:
    parts = ("starts", "vowels", "middles", endings)
    while True:
        name = "".join(rng.choice(NAMES[f"invented.{part}"]) for part in parts)
        if name not in _KNOWN_NAMES and is_held_out(name) == for_exam:
            return name


def with_different_initials(
    draw: Callable[[], str], count: int, others: Iterable[str] = ()
) -> list[str]:
    """Draw `count` names whose first letters differ from each other and from those of `others`.

    A small model may otherwise continue a name with the rest of another one.
    """
    names: list[str] = []
    initials = {name[0] for name in others}
    while len(names) < count:
        name = draw()
        if name[0] not in initials:
            names.append(name)
            initials.add(name[0])
    return names


def invent_person_names(rng: random.Random, for_exam: bool, count: int) -> list[str]:
    """Invent `count` people's names with different first letters."""
    return with_different_initials(lambda: invent_person_name(rng, for_exam), count)
