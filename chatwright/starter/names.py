"""Invented names, so that reading a name from the text is the only way to know it.

A name belongs for ever either to training or to the held-out items: the side is a function of its spelling, not of a seed,
so no run, size or order can leak one into the other.
"""

import random
import zlib
from collections.abc import Callable, Iterable

from chatwright.starter.words import BOYS, GIRLS, OBJECTS, TOWNS, listed

_STARTS = listed("B Br D Dr F Fl G Gr H J K Kr L M N P Pl R S Sk St T Tr V W Z")
_VOWELS = listed("a e i o u ai ee oa")
_MIDDLES = listed("b d g l ll lm ln m n nd r rd rn s st t v z")
_ENDS = listed("a an ek el en er ia ik in is o ok on or us")
_TOWN_ENDS = listed("by ford ham mere ton wick dale port")
_KNOWN = (
    frozenset(GIRLS)
    | frozenset(BOYS)
    | frozenset(TOWNS)
    | frozenset(word.capitalize() for word in OBJECTS)
)


def is_held_out(key: str, one_in: int = 5) -> bool:
    """Which side of the split a key (a name, a pair of numbers, a fact id) is on; the same for ever."""
    return zlib.crc32(key.encode()) % one_in == 0


def invented_person(rng: random.Random, held_out: bool) -> str:
    while True:
        name = rng.choice(_STARTS) + rng.choice(_VOWELS) + rng.choice(_MIDDLES) + rng.choice(_ENDS)
        if name not in _KNOWN and is_held_out(name) == held_out:
            return name


def invented_town(rng: random.Random, held_out: bool) -> str:
    while True:
        name = (
            rng.choice(_STARTS)
            + rng.choice(_VOWELS)
            + rng.choice(_MIDDLES)
            + rng.choice(_TOWN_ENDS)
        )
        if name not in _KNOWN and is_held_out(name) == held_out:
            return name


def begin_differently(draw: Callable[[], str], count: int, others: Iterable[str] = ()) -> list[str]:
    """Names whose first letters tell them apart, and from `others`: in one story nobody is taken for somebody else half-way through a name."""
    names: list[str] = []
    initials = {name[0] for name in others}
    while len(names) < count:
        name = draw()
        if name[0] not in initials:
            names.append(name)
            initials.add(name[0])
    return names


def several(rng: random.Random, held_out: bool, count: int) -> list[str]:
    """Different invented people."""
    return begin_differently(lambda: invented_person(rng, held_out), count)
