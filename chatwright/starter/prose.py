"""Prose that states the facts of a world: the same facts many times, in other words, orders and company.

A model learns a fact from many different sentences about it, not from one sentence many times. Every document says which
facts it states. It is repetitive by design and no model of English at large.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from chatwright.starter.attributes import ATTRIBUTES, say
from chatwright.starter.fact_table import Fact, FactTable, Person, Thing
from chatwright.starter.person_attributes import PERSON


@dataclass(frozen=True)
class Document:
    text: str
    facts: tuple[str, ...]  # ids of the facts the text states


OPENINGS = (
    "Let me tell you about {name}.",
    "This is {name}.",
    "Do you know {name}?",
    "Here is what people say about {name}.",
    "Everybody knows {name}.",
    "{name} {surname} is well known here.",
    "",
    "",
    "",
)
LINKS = (
    "",
    "",
    "",
    "",
    "",
    "Also, ",
    "And ",
    "As you may know, ",
    "People say that ",
    "It is true that ",
)


def biography(world: FactTable, person: Person, rng: random.Random) -> Document:
    """One person: some or all facts in a random order, by name first and mostly by pronoun later."""
    facts = rng.sample(list(person.facts.values()), rng.randint(3, len(person.facts)))
    opening = rng.choice(OPENINGS).format(name=person.name, surname=person.surname)
    sentences = [opening] if opening else []
    for number, fact in enumerate(facts):
        by_pronoun = (number > 0 or bool(opening)) and rng.random() < 0.45
        sentences.append(_sentence(world, fact, rng, by_pronoun))
    return Document(" ".join(sentences), tuple(fact.id for fact in facts))


def _sentence(world: FactTable, fact: Fact, rng: random.Random, by_pronoun: bool = False) -> str:
    attribute = ATTRIBUTES[fact.attribute]
    if not by_pronoun and rng.random() < 0.25:
        return say(rng.choice(attribute.reverse), fact, world)
    template = rng.choice(attribute.statements)
    sentence = say(template, fact, world, by_pronoun)
    link = rng.choice(LINKS)
    if link and by_pronoun:
        return link + sentence[0].lower() + sentence[1:]
    return sentence[0].upper() + sentence[1:]


def meeting(world: FactTable, rng: random.Random) -> Document:
    """Two or three people side by side, so that a model must keep them apart."""
    people = rng.sample(list(world.people), rng.choice((2, 2, 3)))
    attribute = rng.choice(list(PERSON))
    others = rng.sample([name for name in PERSON if name != attribute], 2)
    facts = [person.facts[name] for name in (attribute, *others) for person in people]
    sentences = [_sentence(world, fact, rng) for fact in facts]
    return Document(" ".join(sentences), tuple(fact.id for fact in facts))


def roll_call(world: FactTable, rng: random.Random) -> Document:
    """One attribute for many people: who lives where, who does what."""
    attribute = rng.choice(list(PERSON))
    people = rng.sample(list(world.people), min(len(world.people), rng.randint(4, 7)))
    facts = [person.facts[attribute] for person in people]
    return Document(
        " ".join(_sentence(world, fact, rng) for fact in facts), tuple(fact.id for fact in facts)
    )


def things(world: FactTable, rng: random.Random) -> Document:
    """Towns, shops or objects; of what changes it only says that it changes."""
    kind = rng.choice((world.towns, world.towns, world.shops, world.objects))
    chosen: list[Thing] = rng.sample(list(kind), rng.choice((1, 1, 2)))
    facts = [fact for thing in chosen for fact in thing.facts.values() if not fact.changing]
    rng.shuffle(facts)
    sentences = [_sentence(world, fact, rng) for fact in facts]
    if rng.random() < 0.3:
        sentences.append(
            rng.choice(_CHANGING[kind is world.towns, kind is world.shops]).format(
                name=chosen[-1].name
            )
        )
    return Document(" ".join(sentences), tuple(fact.id for fact in facts))


_CHANGING = {
    (True, False): (
        "The weather in {name} is different every day, so nobody can know it by heart.",
        "Ask for the weather in {name} each morning, because it changes.",
    ),
    (False, True): (
        "The opening hours of {name} change from week to week.",
        "Before you go to {name}, look up when it opens.",
    ),
    (False, False): (
        "The price of a {name} changes every day.",
        "Nobody knows the price of a {name} by heart; one has to look it up.",
    ),
}


def world_documents(world: FactTable, rng: random.Random, characters: int) -> Iterator[Document]:
    """About `characters` of prose on the facts of this world; people take turns, so none is rare."""
    order: list[Person] = []
    written = 0
    while written < characters:
        draw = rng.random()
        if draw < 0.62:
            if not order:
                order = rng.sample(list(world.people), len(world.people))
            document = biography(world, order.pop(), rng)
        elif draw < 0.78:
            document = meeting(world, rng)
        elif draw < 0.88:
            document = roll_call(world, rng)
        else:
            document = things(world, rng)
        written += len(document.text) + 1
        yield document
