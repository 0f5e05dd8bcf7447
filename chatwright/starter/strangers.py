"""People nobody has read about: invented names with drawn facts, for whatever must be read from the conversation itself."""

import random
from collections.abc import Iterable

from chatwright.starter.attributes import say_of
from chatwright.starter.fact_table import Fact, Person
from chatwright.starter.names import begin_differently, invented_town, several
from chatwright.starter.person_attributes import PERSON
from chatwright.starter.words import COLOURS, FOODS, HOBBIES, JOBS, PETS, TOWNS

# Without names, dates and ages: what is left can be told in one short sentence whose value nothing else resembles.
TOLD = ("home", "job", "pet", "food", "colour", "hobby")
_LISTS = {"job": JOBS, "pet": PETS, "food": FOODS, "colour": COLOURS, "hobby": HOBBIES}


def values(
    rng: random.Random, attribute: str, count: int, held_out: bool, people: Iterable[str] = ()
) -> list[str]:
    """Different values; half of the towns are invented too, and begin otherwise than the names of `people`."""
    if attribute != "home":
        return rng.sample(_LISTS[attribute], count)
    if rng.random() < 0.5:
        return rng.sample(TOWNS, count)
    return begin_differently(lambda: invented_town(rng, held_out), count, people)


def strangers(
    rng: random.Random, held_out: bool, count: int, attributes: list[str]
) -> list[Person]:
    """`count` people who differ from each other in every attribute."""
    names = several(rng, held_out, count)
    drawn = {attribute: values(rng, attribute, count, held_out, names) for attribute in attributes}
    return [
        Person(
            name,
            "",
            rng.random() < 0.5,
            {
                attribute: Fact(
                    f"stranger.{name.lower()}.{attribute}", name, attribute, drawn[attribute][at]
                )
                for attribute in attributes
            },
        )
        for at, name in enumerate(names)
    ]


# With the name first and few words after it, every six words in a row hold a name nobody has read.
_BRIEF = {
    name: [
        text
        for text in PERSON[name].statements
        if text[:3] in ("{S}", "{P}") and len(text.split()) <= 5
    ]
    for name in TOLD
}


# Between a held-out story and its question, so that no familiar sentence end meets a familiar question.
_BRIDGES = ("That was all.", "So much for these people.", "Enough of that.")


def tell(person: Person, attribute: str, rng: random.Random, held_out: bool) -> str:
    statements = _BRIEF[attribute] if held_out else PERSON[attribute].statements
    return say_of(rng.choice(statements), person.name, person, person.facts[attribute].value)


def answer(person: Person, attribute: str, by_pronoun: bool = False) -> str:
    return say_of(
        PERSON[attribute].answer, person.name, person, person.facts[attribute].value, by_pronoun
    )


def story(people: list[Person], attributes: list[str], rng: random.Random, held_out: bool) -> str:
    """All facts of all people, person by person or mixed; every sentence names whom it is about."""
    pairs = [(person, attribute) for person in people for attribute in attributes]
    if rng.random() < 0.5:
        rng.shuffle(pairs)
    told = " ".join(tell(person, attribute, rng, held_out) for person, attribute in pairs)
    return f"{told} {rng.choice(_BRIDGES)}" if held_out else told
