"""Invented facts about people, towns, shops and objects, which do not contradict each other.

The table is a function of size and seed. The exam is the held-out evaluation set. There are three
kinds of facts:

- training facts: training conversations may ask about them;
- held-out facts: documents state them, only the exam asks about them;
- changing facts (weather, prices, opening hours): the table has no value for them, so a model
  must call a tool.

Making a table takes a few milliseconds.
"""

import random
from dataclasses import dataclass, field
from functools import cached_property

from chatwright.errors import InputError
from chatwright.starter.split import is_held_out
from chatwright.starter.word_lists import NAMES, THINGS, VALUES

LARGEST_SIZE = 4.0
HELD_OUT_ONE_IN = 4
N_KNOWN_OBJECTS = 24


@dataclass(frozen=True)
class Fact:
    """One attribute of one subject: the home of Mira is Marn."""

    id: str
    subject: str
    attribute: str
    value: str
    is_changing: bool = False

    @property
    def is_held_out(self) -> bool:
        """Whether no training conversation may ask about the fact."""
        return not self.is_changing and is_held_out(self.id, HELD_OUT_ONE_IN)


@dataclass(frozen=True)
class Person:
    """A person, with a dictionary from attribute to fact."""

    name: str
    surname: str
    is_female: bool
    facts: dict[str, Fact] = field(compare=False)

    @property
    def pronoun(self) -> str:
        """The pronoun as the subject of a sentence."""
        return "she" if self.is_female else "he"

    @property
    def possessive_pronoun(self) -> str:
        """The pronoun before a noun."""
        return "her" if self.is_female else "his"

    @property
    def object_pronoun(self) -> str:
        """The pronoun as the object of a sentence."""
        return "her" if self.is_female else "him"


@dataclass(frozen=True)
class Thing:
    """A town, a shop or an object, with a dictionary from attribute to fact."""

    name: str
    facts: dict[str, Fact] = field(compare=False)


@dataclass(frozen=True)
class FactTable:
    """All facts, and their subjects by kind."""

    people: tuple[Person, ...]
    towns: tuple[Thing, ...]
    shops: tuple[Thing, ...]
    objects: tuple[Thing, ...]
    facts: tuple[Fact, ...]

    @cached_property
    def _people_by_name(self) -> dict[str, Person]:
        return {person.name: person for person in self.people}

    def person(self, name: str) -> Person:
        """Return the person called `name`."""
        return self._people_by_name[name]

    @cached_property
    def training_facts(self) -> list[Fact]:
        """The facts that training conversations may ask about."""
        return [fact for fact in self.facts if not fact.is_changing and not fact.is_held_out]

    @cached_property
    def held_out_facts(self) -> list[Fact]:
        """The facts that documents state and only the exam asks about."""
        return [fact for fact in self.facts if fact.is_held_out]

    def askable_facts(self, for_exam: bool) -> list[Fact]:
        """Return the facts that the exam may ask about, or else those for training."""
        return self.held_out_facts if for_exam else self.training_facts

    def values_of(self, attribute: str) -> list[str]:
        """Return every value that the attribute has in this table, sorted."""
        return sorted({fact.value for fact in self.facts if fact.attribute == attribute})


def is_about_person(fact: Fact) -> bool:
    """Whether the subject of the fact is a person."""
    return fact.id.startswith("person.")


def make_fact_table(size: float = 1.0, seed: int = 0) -> FactTable:
    """Make the table of a size and a seed; `size` scales the numbers of people, towns and shops.

    Raises InputError unless `size` is above 0 and at most LARGEST_SIZE. A larger size would need
    more names than the lists have.
    """
    if not 0 < size <= LARGEST_SIZE:
        raise InputError(
            f"size is {size:g}, but it must be above 0 and at most {LARGEST_SIZE:g}.",
            remedy="Set size=1, the default.",
            field="size",
            value=size,
        )
    rng = random.Random(f"starter-world-{seed}")
    # Shuffle the whole lists, then cut: a larger table contains the names of a smaller one.
    girls = _shuffled(NAMES["girls"], rng)
    boys = _shuffled(NAMES["boys"], rng)
    all_town_names = _shuffled(NAMES["towns"], rng)
    pet_names = _shuffled(NAMES["pets"], rng)
    n_people = max(8, round(36 * size))
    names = [name for pair in zip(girls, boys, strict=False) for name in pair][:n_people]
    town_names = all_town_names[: max(4, round(6 + 4 * size))]
    # The order of these four assignments decides the random draws, and so the corpus.
    people = tuple(_person(rng, name, names, town_names, pet_names) for name in names)
    objects = tuple(_object(rng, name) for name in THINGS["objects"][:N_KNOWN_OBJECTS])
    shop_names = _shop_names(rng, max(4, round(8 * size)))
    shops = tuple(_shop(rng, name, names, town_names) for name in shop_names)
    towns = tuple(_town(rng, name) for name in town_names)
    subjects: tuple[Person | Thing, ...] = (*people, *towns, *shops, *objects)
    facts = tuple(fact for subject in subjects for fact in subject.facts.values())
    return FactTable(people, towns, shops, objects, facts)


def _shuffled(names: tuple[str, ...], rng: random.Random) -> list[str]:
    shuffled = list(names)
    rng.shuffle(shuffled)
    return shuffled


def _facts(
    kind: str, subject: str, values: dict[str, str], changing: tuple[str, ...] = ()
) -> dict[str, Fact]:
    key = f"{kind}.{subject.lower().replace(' ', '-')}"
    lasting = {name: Fact(f"{key}.{name}", subject, name, value) for name, value in values.items()}
    return lasting | {
        name: Fact(f"{key}.{name}", subject, name, "", is_changing=True) for name in changing
    }


def _person(
    rng: random.Random, name: str, names: list[str], towns: list[str], pet_names: list[str]
) -> Person:
    values = {
        "home": rng.choice(towns),
        "job": rng.choice(VALUES["jobs"]),
        "pet": rng.choice(VALUES["pets"]),
        "pet_name": rng.choice(pet_names),
        "food": rng.choice(VALUES["foods"]),
        "colour": rng.choice(VALUES["colors"]),
        "hobby": rng.choice(VALUES["hobbies"]),
        "birthday": f"{rng.choice(VALUES['months'])} {rng.randint(1, 28)}",
        "age": str(rng.randint(9, 89)),
        "friend": rng.choice([other for other in names if other != name]),
    }
    surname = rng.choice(NAMES["surnames"])
    return Person(name, surname, name in NAMES["girls"], _facts("person", name, values))


def _object(rng: random.Random, name: str) -> Thing:
    values = {"material": rng.choice(VALUES["materials"])}
    return Thing(name, _facts("object", name, values, changing=("price",)))


def _town(rng: random.Random, name: str) -> Thing:
    values = {
        "landmark": rng.choice(VALUES["landmarks"]),
        "market_day": rng.choice(VALUES["days"]),
        "goods": rng.choice(VALUES["goods"]),
    }
    return Thing(name, _facts("town", name, values, changing=("weather",)))


def _shop_names(rng: random.Random, count: int) -> list[str]:
    every_name = [
        f"the {color} {noun}" for color in NAMES["shop_colors"] for noun in NAMES["shop_nouns"]
    ]
    return rng.sample(every_name, count)


def _shop(rng: random.Random, name: str, people: list[str], towns: list[str]) -> Thing:
    values = {
        "shop_town": rng.choice(towns),
        "keeper": rng.choice(people),
        "sells": rng.choice(THINGS["objects"][:N_KNOWN_OBJECTS]),
    }
    return Thing(name, _facts("shop", name, values, changing=("hours",)))
