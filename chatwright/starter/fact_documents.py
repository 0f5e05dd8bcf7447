"""Training documents that state facts of the fact table.

A model learns a fact from many different sentences about it, not from one sentence many times.
Every document lists the facts that it states.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chatwright.starter.attributes import ATTRIBUTES, PERSON_ATTRIBUTES
from chatwright.starter.data_file import DataFile
from chatwright.starter.fact_table import Fact, FactTable, Person, Thing
from chatwright.starter.fact_wording import fill_with_fact
from chatwright.starter.phrasing import capitalize_first

_PATTERNS = DataFile("patterns/fact_documents.toml")
_STARTS_WITH_VALUE_SHARE = 0.25  # of the sentences with a name
_PRONOUN_SHARE = 0.45  # of the sentences after the first in a biography
# Shares of the documents; the rest are about towns, shops and objects.
_BIOGRAPHY_SHARE = 0.62
_COMPARISON_SHARE = 0.16
_LISTING_SHARE = 0.10


@dataclass(frozen=True)
class Document:
    """A text and the ids of the facts that it states."""

    text: str
    fact_ids: tuple[str, ...] = ()

    def as_row(self) -> dict[str, Any]:
        """Return a row of pretrain.jsonl."""
        return {"text": self.text, "facts": self.fact_ids}


def _document(sentences: list[str], facts: list[Fact]) -> Document:
    return Document(" ".join(sentences), tuple(fact.id for fact in facts))


def _draw_sentence(
    table: FactTable, fact: Fact, rng: random.Random, by_pronoun: bool = False
) -> str:
    attribute = ATTRIBUTES[fact.attribute]
    if not by_pronoun and rng.random() < _STARTS_WITH_VALUE_SHARE:
        return fill_with_fact(rng.choice(attribute.statements_from_value), fact, table)
    sentence = fill_with_fact(rng.choice(attribute.statements), fact, table, by_pronoun)
    connective = rng.choice(_PATTERNS["connectives"])
    if connective and by_pronoun:
        return connective + sentence[0].lower() + sentence[1:]
    return capitalize_first(sentence)


def draw_biography(table: FactTable, person: Person, rng: random.Random) -> Document:
    """Draw facts of one person in random order. Later sentences often use a pronoun."""
    facts = rng.sample(list(person.facts.values()), rng.randint(3, len(person.facts)))
    opening = rng.choice(_PATTERNS["openings"])
    opening = opening.format(name=person.name, surname=person.surname)
    sentences = [opening] if opening else []
    for index, fact in enumerate(facts):
        by_pronoun = (index > 0 or bool(opening)) and rng.random() < _PRONOUN_SHARE
        sentences.append(_draw_sentence(table, fact, rng, by_pronoun))
    return _document(sentences, facts)


def draw_comparison(table: FactTable, rng: random.Random) -> Document:
    """Draw the same three attributes of two or three people."""
    people = rng.sample(list(table.people), rng.choice((2, 2, 3)))
    attribute = rng.choice(list(PERSON_ATTRIBUTES))
    others = rng.sample([name for name in PERSON_ATTRIBUTES if name != attribute], 2)
    facts = [person.facts[name] for name in (attribute, *others) for person in people]
    return _document([_draw_sentence(table, fact, rng) for fact in facts], facts)


def draw_listing(table: FactTable, rng: random.Random) -> Document:
    """Draw one attribute of four to seven people, for example where each of them lives."""
    attribute = rng.choice(list(PERSON_ATTRIBUTES))
    people = rng.sample(list(table.people), min(len(table.people), rng.randint(4, 7)))
    facts = [person.facts[attribute] for person in people]
    return _document([_draw_sentence(table, fact, rng) for fact in facts], facts)


def draw_thing_document(table: FactTable, rng: random.Random) -> Document:
    """Draw lasting facts about towns, shops or objects.

    Some documents add that the weather, opening hours or price changes, without its value.
    """
    kind = rng.choice(("towns", "towns", "shops", "objects"))
    all_things: dict[str, tuple[Thing, ...]] = {
        "towns": table.towns,
        "shops": table.shops,
        "objects": table.objects,
    }
    things = rng.sample(all_things[kind], rng.choice((1, 1, 2)))
    facts = [fact for thing in things for fact in thing.facts.values() if not fact.is_changing]
    rng.shuffle(facts)
    sentences = [_draw_sentence(table, fact, rng) for fact in facts]
    if rng.random() < 0.3:
        pattern = rng.choice(_PATTERNS[f"changing.{kind}"])
        sentences.append(pattern.format(name=things[-1].name))
    return _document(sentences, facts)


def draw_fact_documents(
    table: FactTable, rng: random.Random, n_characters: int
) -> Iterator[Document]:
    """Draw documents with about `n_characters` in total. Biographies take all people in turn."""
    remaining_people: list[Person] = []
    n_written = 0
    while n_written < n_characters:
        draw = rng.random()
        if draw < _BIOGRAPHY_SHARE:
            remaining_people = remaining_people or rng.sample(list(table.people), len(table.people))
            document = draw_biography(table, remaining_people.pop(), rng)
        elif draw < _BIOGRAPHY_SHARE + _COMPARISON_SHARE:
            document = draw_comparison(table, rng)
        elif draw < _BIOGRAPHY_SHARE + _COMPARISON_SHARE + _LISTING_SHARE:
            document = draw_listing(table, rng)
        else:
            document = draw_thing_document(table, rng)
        n_written += len(document.text) + 1
        yield document
