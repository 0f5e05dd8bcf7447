"""Invented people with drawn facts: a model can only know them by reading the conversation.

The exam, the held-out evaluation set, uses other names and simpler sentences than training.
"""

import random
from collections.abc import Iterable

from chatwright.starter.attributes import PERSON_ATTRIBUTES
from chatwright.starter.data_file import DataFile
from chatwright.starter.fact_table import Fact, Person
from chatwright.starter.fact_wording import answer_about_person, fill_template
from chatwright.starter.invented_names import (
    invent_person_names,
    invent_town_name,
    with_different_initials,
)
from chatwright.starter.word_lists import NAMES, VALUES

# Pet names, friends, birthdays and ages are left out. Each value fits into one short sentence, and
# no value of one attribute looks like a value of another.
STORY_ATTRIBUTES = ("home", "job", "pet", "food", "colour", "hobby")
_PATTERNS = DataFile("patterns/invented_people.toml")
_VALUE_LISTS = {
    "job": "jobs",
    "pet": "pets",
    "food": "foods",
    "colour": "colors",
    "hobby": "hobbies",
}
_LONGEST_EXAM_STATEMENT = 5  # words


def draw_values(
    rng: random.Random, attribute: str, count: int, for_exam: bool, people: Iterable[str] = ()
) -> list[str]:
    """Draw `count` different values of an attribute.

    In half of the draws, all towns are invented; their first letters differ from those of `people`.
    """
    if attribute != "home":
        return rng.sample(VALUES[_VALUE_LISTS[attribute]], count)
    if rng.random() < 0.5:
        return rng.sample(NAMES["towns"], count)
    return with_different_initials(lambda: invent_town_name(rng, for_exam), count, people)


def invent_people(
    rng: random.Random, for_exam: bool, count: int, attributes: list[str]
) -> list[Person]:
    """Invent `count` people who differ from each other in every attribute."""
    names = invent_person_names(rng, for_exam, count)
    values = {
        attribute: draw_values(rng, attribute, count, for_exam, names) for attribute in attributes
    }
    people = []
    for index, name in enumerate(names):
        is_female = rng.random() < 0.5
        facts = {
            attribute: Fact(
                f"stranger.{name.lower()}.{attribute}", name, attribute, values[attribute][index]
            )
            for attribute in attributes
        }
        people.append(Person(name, surname="", is_female=is_female, facts=facts))
    return people


def _is_short_and_starts_with_name(statement: str) -> bool:
    return (
        statement.startswith(("{S}", "{P}")) and len(statement.split()) <= _LONGEST_EXAM_STATEMENT
    )


# {S} is the name, {P} the name with 's. In an exam story of these sentences, any six words in a row
# contain a name that no training text has.
_EXAM_STATEMENTS = {
    name: [
        text for text in PERSON_ATTRIBUTES[name].statements if _is_short_and_starts_with_name(text)
    ]
    for name in STORY_ATTRIBUTES
}


def draw_statement(person: Person, attribute: str, rng: random.Random, for_exam: bool) -> str:
    """Draw a sentence that states one fact about a person."""
    statements = (
        _EXAM_STATEMENTS[attribute] if for_exam else PERSON_ATTRIBUTES[attribute].statements
    )
    return fill_template(rng.choice(statements), person.name, person, person.facts[attribute].value)


def answer_about(person: Person, attribute: str) -> str:
    """Return the sentence that answers a question about an attribute of a person."""
    return answer_about_person(attribute, person, person.facts[attribute].value)


def draw_story(
    people: list[Person], attributes: list[str], rng: random.Random, for_exam: bool
) -> str:
    """Draw a text that states all facts of all people. Every sentence names its person."""
    pairs = [(person, attribute) for person in people for attribute in attributes]
    if rng.random() < 0.5:
        rng.shuffle(pairs)
    text = " ".join(draw_statement(person, attribute, rng, for_exam) for person, attribute in pairs)
    return f"{text} {rng.choice(_PATTERNS['exam_endings'])}" if for_exam else text
