"""Prose about how things are: animals, the calendar, seasons, sums, stories, reviews, French. It states no fact of the world.

Half of it is reading matter about invented people, so that a model learns to read a name and use it again.
"""

import random
from collections.abc import Callable, Iterator

from chatwright.starter.attributes import say_of, with_article
from chatwright.starter.conversations import (
    arithmetic,
    corrections,
    passages,
    premises,
    sentiment,
    stopping,
    translation,
)
from chatwright.starter.conversations.jokes import TOPICS
from chatwright.starter.person_attributes import PERSON
from chatwright.starter.prose import Document
from chatwright.starter.strangers import TOLD, answer, story, strangers
from chatwright.starter.words import ANIMALS, DAYS, MONTHS

SEASONS = {
    "spring": ("March", "May", "flowers grow", "warm rain falls"),
    "summer": ("June", "August", "the days are long", "people swim in the lake"),
    "autumn": ("September", "November", "leaves fall", "apples are ripe"),
    "winter": ("December", "February", "snow falls", "the nights are long"),
}
MANNERS = (
    "A good assistant tells the truth.",
    "Whoever makes a mistake should admit it and say thank you for the correction.",
    "If somebody asks for harm, the answer is a polite no.",
    "Prices, the weather and opening hours change, so they must be looked up.",
    "Pip is a small language model. Pip lives in a computer and likes to help.",
    "Pip does not know everything and says so.",
    "A question may hold a mistake; then it is right to say so.",
    "When it rains, take an umbrella. When it snows, wear a warm coat.",
    "A secret is private, and a password belongs to one person only.",
    "Being sure is fine, being polite is better, and both together are best.",
)


def animals(rng: random.Random) -> str:
    sentences = []
    for name in rng.sample(sorted(ANIMALS), rng.choice((1, 2, 3))):
        sound, food, home, young = ANIMALS[name]
        subject = with_article(name).capitalize()
        told = [
            f"A young {name} is called {with_article(young)}.",
            f"{subject} lives in {home}.",
            f"It eats {food}.",
        ]
        sentences += [f"{subject} can {sound}.", *rng.sample(told, rng.randint(1, 3))]
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
    return " ".join(told)


def seasons(rng: random.Random) -> str:
    name = rng.choice(sorted(SEASONS))
    first, last, one, other = SEASONS[name]
    told = [
        f"In {name} {one}.",
        f"In {name} {other}.",
        f"{name.capitalize()} begins in {first}.",
        f"{last} belongs to {name}.",
    ]
    return " ".join(rng.sample(told, rng.randint(2, 4)))


def manners(rng: random.Random) -> str:
    return " ".join(rng.sample(MANNERS, rng.randint(2, 4)))


def sums(rng: random.Random) -> str:
    return " ".join(arithmetic.line(rng) for _ in range(rng.randint(3, 6)))


def who_is_right(rng: random.Random) -> str:
    """Two claims, then what is so, and what follows: admitting a mistake and doubting a question rest on it, and need many examples."""
    told = []
    for _ in range(rng.randint(2, 3)):
        attribute = rng.choice(TOLD)
        one, other = strangers(rng, False, 2, [attribute])
        fact, wrong = one.facts[attribute], other.facts[attribute].value
        claims = [
            say_of(PERSON[attribute].answer, one.name, one, value) for value in (fact.value, wrong)
        ]
        if rng.random() < 0.5:  # as in a conversation, where both were said before
            told += rng.sample(claims, 2)
        if rng.random() < 0.6:
            told.append(corrections.verdict(fact, one, wrong, rng.random() < 0.5))
        else:
            told.append(premises.judged(fact, one, rng.choice((fact.value, wrong))))
    return " ".join(told)


def counting(rng: random.Random) -> str:
    if rng.random() < 0.4:
        start = rng.randint(0, 90)
        return " ".join(
            f"{number} is {arithmetic.in_words(number)}."
            for number in range(start, start + rng.randint(4, 9))
        )
    kind, slots, items = stopping.draw(rng, held_out=False)
    return stopping.answer(kind, slots, items)


def french(rng: random.Random) -> str:
    return " ".join(translation.line(rng) for _ in range(rng.randint(2, 5)))


def reviews(rng: random.Random) -> str:
    told = []
    for _ in range(rng.randint(1, 2)):
        said = sentiment.draw(rng, held_out=False)
        told += [said[0].text, *(review.answer for review in rng.sample(said, len(said)))]
    return " ".join(told)


def stories(rng: random.Random) -> str:
    """A story, and several things it says read out of it: one text, many times the question which of several."""
    happened, text = passages.passage(rng, held_out=False)
    return f"{text} {passages.read(happened, rng)}"


def reports(rng: random.Random) -> str:
    """A report and its sum: what a summary is, seen before anybody asks for one."""
    event, text = passages.report(rng, held_out=False)
    return f"{text} In short: {passages.summary(event)}"


def people(rng: random.Random) -> str:
    attributes = rng.sample(TOLD, rng.choice((1, 2, 2)))
    told = strangers(rng, False, rng.choice((2, 2, 3)), attributes)
    read = dict.fromkeys(
        answer(rng.choice(told), rng.choice(attributes)) for _ in range(rng.randint(2, 5))
    )
    return " ".join([story(told, attributes, rng, held_out=False), *read])


def picture_book(rng: random.Random) -> str:
    """What there is to see, page by page: words a person may ask about, known before anybody does, and read again in order."""
    seen = rng.sample(TOPICS, rng.randint(2, 5))
    named = [with_article(name) for name in seen]
    pages = rng.choice(
        (
            "On the first page there is",
            "Look, here is",
            "The book begins with",
            "First comes",
            "In the garden stands",
        )
    )
    order = f"{', '.join(named[:-1])} and {named[-1]}"
    return f"{pages} {', then '.join(named)}. {rng.choice(('So we saw', 'That makes', 'All in all there are', 'I drew'))} {order}."


NATURE = (
    "Rain is water.", "Rain makes the fields green.", "Snow is cold and white.", "Snow melts in the sun.", "Flowers need light.",
    "Flowers smell good.", "Clouds bring rain.", "Soft clouds look like wool.", "Cats sleep most of the day.", "Two cats can share a basket.",
    "Children like to play.", "Children ask many questions.", "An old clock can be slow.", "A clock tells the time.", "At noon the sun is high.",
    "Nobody likes wet shoes.", "Nobody knows everything.", "Wind moves the leaves.", "Fog hides the hills.", "Trees grow slowly.",
)  # fmt: skip


def nature(rng: random.Random) -> str:
    return " ".join(rng.sample(NATURE, rng.randint(2, 4)))


# Kinds by share. Sums are many because two-digit sums need many examples and each is short.
KINDS: dict[Callable[[random.Random], str], float] = {
    animals: 3,
    calendar: 3,
    seasons: 1,
    manners: 1,
    sums: 36,
    counting: 12,
    who_is_right: 20,
    french: 4,
    reviews: 10,
    stories: 16,
    picture_book: 3,
    nature: 1,
    reports: 4,
    people: 10,
}


def documents(rng: random.Random, characters: int) -> Iterator[Document]:
    written = 0
    kinds, weights = list(KINDS), list(KINDS.values())
    while written < characters:
        text = rng.choices(kinds, weights)[0](rng)
        written += len(text) + 1
        yield Document(text, ())
