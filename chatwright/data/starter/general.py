"""Prose about how things are: animals, the calendar, seasons, counting, sums. It states no fact of the generated world."""

import random
from collections.abc import Callable, Iterator

from chatwright.data.starter.attributes import with_article
from chatwright.data.starter.conversations import arithmetic
from chatwright.data.starter.prose import Document
from chatwright.data.starter.words import ANIMALS, DAYS, MONTHS

SEASONS = {
    "spring": ("March", "May", "flowers grow", "warm rain falls"),
    "summer": ("June", "August", "the days are long", "people swim in the lake"),
    "autumn": ("September", "November", "leaves fall", "apples are ripe"),
    "winter": ("December", "February", "snow falls", "the nights are long"),
}


def animals(rng: random.Random) -> str:
    sentences = []
    for name in rng.sample(sorted(ANIMALS), rng.choice((1, 2, 3))):
        sound, food, home, young = ANIMALS[name]
        told = [
            f"{with_article(name).capitalize()} can {sound}.",
            f"A young {name} is called {with_article(young)}.",
            f"A {name} lives in {home}." if name != "owl" else f"An owl lives in {home}.",
            f"It eats {food}.",
        ]
        sentences += [told[0], *rng.sample(told[1:], rng.randint(1, 3))]
    return " ".join(sentences)


def calendar(rng: random.Random) -> str:
    names = rng.choice((DAYS, MONTHS))
    kind = "day" if names is DAYS else "month"
    told = []
    for _ in range(rng.randint(2, 4)):
        at = rng.randrange(len(names))
        before, this, after = names[at - 1], names[at], names[(at + 1) % len(names)]
        told.append(
            rng.choice(
                (
                    f"After {this} comes {after}.",
                    f"Before {this} comes {before}.",
                    f"{this} is the {kind} between {before} and {after}.",
                    f"The {kind} after {this} is {after}.",
                )
            )
        )
    if rng.random() < 0.2:
        told.append(f"The {kind}s are {', '.join(names[:-1])} and {names[-1]}.")
    return " ".join(told)


def seasons(rng: random.Random) -> str:
    name = rng.choice(sorted(SEASONS))
    first, last, one, other = SEASONS[name]
    told = [f"In {name} {one}.", f"In {name} {other}.", f"{name.capitalize()} begins in {first}.", f"{last} belongs to {name}."]
    return " ".join(rng.sample(told, rng.randint(2, 4)))


def sums(rng: random.Random) -> str:
    return " ".join(arithmetic.line(rng) for _ in range(rng.randint(3, 6)))


def counting(rng: random.Random) -> str:
    start = rng.randint(0, 90)
    numbers = range(start, start + rng.randint(4, 9))
    if rng.random() < 0.4:
        return " ".join(f"{number} is {arithmetic.in_words(number)}." for number in numbers)
    return f"Counting from {start}: {', '.join(map(str, numbers))}."


KINDS: dict[Callable[[random.Random], str], float] = {animals: 2, calendar: 2, seasons: 1, sums: 7, counting: 1}


def documents(rng: random.Random, characters: int) -> Iterator[Document]:
    written = 0
    kinds, weights = list(KINDS), list(KINDS.values())
    while written < characters:
        text = rng.choices(kinds, weights)[0](rng)
        written += len(text) + 1
        yield Document(text, ())
