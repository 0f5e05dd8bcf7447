"""One small consistent world, made from a size and a seed: the same two values give the same world for ever.

Every fact has an id, a subject, an attribute and a value. Three kinds matter to whoever teaches from them:
stable facts may be asked in training conversations; stable facts on the held-out side are stated in the prose but never
asked about; changing facts (weather, prices, opening hours) have no lasting value at all and must be fetched by COMMAND.
It costs a few milliseconds and holds no text beyond names and values.
"""

import random
from dataclasses import dataclass, field
from functools import cached_property

from chatwright.starter.names import is_held_out
from chatwright.starter.words import (
    BOYS,
    COLOURS,
    DAYS,
    FOODS,
    GIRLS,
    GOODS,
    HOBBIES,
    JOBS,
    LANDMARKS,
    MATERIALS,
    MONTHS,
    OBJECTS,
    PET_NAMES,
    PETS,
    SHOP_COLOURS,
    SHOP_NOUNS,
    SURNAMES,
    TOWNS,
)

LARGEST_SIZE = 4.0


@dataclass(frozen=True)
class Fact:
    id: str
    subject: str
    attribute: str
    value: str
    changing: bool = False

    @property
    def is_held_out(self) -> bool:
        """Held-out facts are in the prose, never in a training conversation."""
        return not self.changing and is_held_out(self.id, one_in=4)


@dataclass(frozen=True)
class Person:
    name: str
    surname: str
    is_female: bool
    facts: dict[str, Fact] = field(compare=False)

    @property
    def he(self) -> str:
        return "she" if self.is_female else "he"

    @property
    def his(self) -> str:
        return "her" if self.is_female else "his"

    @property
    def him(self) -> str:
        return "her" if self.is_female else "him"


@dataclass(frozen=True)
class Thing:
    """A town, a shop or an object: a name and its facts."""

    name: str
    facts: dict[str, Fact] = field(compare=False)


@dataclass(frozen=True)
class FactTable:
    people: tuple[Person, ...]
    towns: tuple[Thing, ...]
    shops: tuple[Thing, ...]
    objects: tuple[Thing, ...]
    facts: tuple[Fact, ...]

    @cached_property
    def _by_name(self) -> dict[str, Person]:
        return {person.name: person for person in self.people}

    def person(self, name: str) -> Person:
        return self._by_name[name]

    @cached_property
    def asked(self) -> list[Fact]:
        """The stable facts that training conversations may ask about."""
        return [fact for fact in self.facts if not fact.changing and not fact.is_held_out]

    @cached_property
    def unasked(self) -> list[Fact]:
        """The stable facts kept for the held-out items: stated in the prose, asked about nowhere."""
        return [fact for fact in self.facts if fact.is_held_out]

    def values_of(self, attribute: str) -> list[str]:
        """Every value the attribute has somewhere in this world, in a fixed order."""
        return sorted({fact.value for fact in self.facts if fact.attribute == attribute})


def _facts(
    kind: str, subject: str, values: dict[str, str], changing: tuple[str, ...] = ()
) -> dict[str, Fact]:
    key = f"{kind}.{subject.lower().replace(' ', '-')}"
    stable = {name: Fact(f"{key}.{name}", subject, name, value) for name, value in values.items()}
    return stable | {
        name: Fact(f"{key}.{name}", subject, name, "", changing=True) for name in changing
    }


def make_world(size: float = 1.0, seed: int = 0) -> FactTable:
    """`size` scales how many people, towns and shops there are."""
    if not 0 < size <= LARGEST_SIZE:
        raise ValueError(
            f"size is {size:g}; it must be above 0 and at most {LARGEST_SIZE:g}, the name lists hold no more. Choose for example size=1"
        )
    rng = random.Random(f"starter-world-{seed}")
    # Shuffle the whole lists first, then cut: a larger world contains the names of the smaller one.
    girls, boys, towns, pet_names = list(GIRLS), list(BOYS), list(TOWNS), list(PET_NAMES)
    for names in (girls, boys, towns, pet_names):
        rng.shuffle(names)
    people_names = [name for pair in zip(girls, boys, strict=False) for name in pair][
        : max(8, round(36 * size))
    ]
    town_names = towns[: min(len(towns), max(4, round(6 + 4 * size)))]
    people = tuple(
        _person(rng, name, name in GIRLS, people_names, town_names, pet_names)
        for name in people_names
    )
    objects = tuple(
        Thing(name, _facts("object", name, {"material": rng.choice(MATERIALS)}, ("price",)))
        for name in OBJECTS[:24]
    )
    shops = tuple(
        _shop(rng, name, people_names, town_names)
        for name in _shop_names(rng, max(4, round(8 * size)))
    )
    towns_made = tuple(_town(rng, name) for name in town_names)
    owners: tuple[Person | Thing, ...] = (*people, *towns_made, *shops, *objects)
    facts = tuple(fact for owner in owners for fact in owner.facts.values())
    return FactTable(people, towns_made, shops, objects, facts)


def _person(
    rng: random.Random,
    name: str,
    is_female: bool,
    names: list[str],
    towns: list[str],
    pet_names: list[str],
) -> Person:
    values = {
        "home": rng.choice(towns),
        "job": rng.choice(JOBS),
        "pet": rng.choice(PETS),
        "pet_name": rng.choice(pet_names),
        "food": rng.choice(FOODS),
        "colour": rng.choice(COLOURS),
        "hobby": rng.choice(HOBBIES),
        "birthday": f"{rng.choice(MONTHS)} {rng.randint(1, 28)}",
        "age": str(rng.randint(9, 89)),
        "friend": rng.choice([other for other in names if other != name]),
    }
    return Person(name, rng.choice(SURNAMES), is_female, _facts("person", name, values))


def _town(rng: random.Random, name: str) -> Thing:
    values = {
        "landmark": rng.choice(LANDMARKS),
        "market_day": rng.choice(DAYS),
        "goods": rng.choice(GOODS),
    }
    return Thing(name, _facts("town", name, values, ("weather",)))


def _shop_names(rng: random.Random, count: int) -> list[str]:
    every = [f"the {colour} {noun}" for colour in SHOP_COLOURS for noun in SHOP_NOUNS]
    return rng.sample(every, count)


def _shop(rng: random.Random, name: str, people: list[str], towns: list[str]) -> Thing:
    values = {
        "shop_town": rng.choice(towns),
        "keeper": rng.choice(people),
        "sells": rng.choice(OBJECTS[:24]),
    }
    return Thing(name, _facts("shop", name, values, ("hours",)))
