"""Closed-book facts: the prose told them, the conversation does not. Nothing here invents a fact."""

import random

from chatwright.conversation import Message
from chatwright.data.starter.attributes import ATTRIBUTES, say
from chatwright.data.starter.item import Item, assistant, user
from chatwright.data.starter.names import invented_person
from chatwright.data.starter.world import Fact, World

SKILLS = ("fact_closed",)
LEADS = (
    "",
    "",
    "",
    "",
    "",
    "",
    "Please tell me: ",
    "Hi! ",
    "Hello Pip. ",
    "A question: ",
    "Do you know this? ",
    "I have a question. ",
    "Pip, ",
    "I want to know: ",
    "Can you tell me? ",
    "One more question: ",
)
_LEADS_HELD = ("", "", "Say, Pip: ", "I wonder: ")


def answer_to(fact: Fact, world: World, by_pronoun: bool = False) -> str:
    sentence = say(ATTRIBUTES[fact.attribute].answer, fact, world, by_pronoun)
    return sentence[0].upper() + sentence[1:]


def competing(fact: Fact, world: World) -> tuple[str, ...]:
    """Every other value this attribute has in the world: naming one of them beside the answer is guessing."""
    if fact.attribute == "age":
        return tuple(str(age) for age in range(1, 100) if str(age) != fact.value)
    return tuple(value for value in world.values_of(fact.attribute) if value not in (fact.value, fact.subject))


def spellings(fact: Fact) -> tuple[str, ...]:
    if fact.attribute == "birthday":
        month, day = fact.value.split()
        return (fact.value, f"{day} {month}", f"{day} of {month}")
    return (fact.value,)


def train(world: World, rng: random.Random) -> list[Message]:
    if rng.random() < 0.08:
        return unknown(world, rng)
    fact = rng.choice(world.asked)
    question = rng.choice(LEADS) + say(rng.choice(ATTRIBUTES[fact.attribute].ask), fact, world)
    return [user(question), assistant(answer_to(fact, world))]


def unknown(world: World, rng: random.Random) -> list[Message]:
    """Somebody the world does not have: it says so instead of guessing."""
    name = invented_person(rng, held_out=False)
    like = rng.choice([fact for fact in world.asked if fact.id.startswith("person.")])
    attribute = ATTRIBUTES[like.attribute]
    question = say(rng.choice(attribute.ask), like, world).replace(like.subject, name)
    return [user(question), assistant(f"I do not know anybody called {name}.")]


def held_out(world: World, rng: random.Random, skill: str) -> Item:
    fact = rng.choice(world.unasked)
    template = rng.choice(ATTRIBUTES[fact.attribute].ask_held)
    return Item(
        skill="fact_closed",
        messages=(user(rng.choice(_LEADS_HELD) + say(template, fact, world)),),
        expected=assistant(answer_to(fact, world)),
        must=(spellings(fact),),
        forbid=competing(fact, world),
        max_words=20,
        book="closed",
        template=template,
    )
