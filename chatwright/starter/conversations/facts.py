"""Closed-book facts: the prose told them, the conversation does not. Nothing here invents a fact."""

import random

from chatwright.conversation import Message
from chatwright.starter.attributes import ATTRIBUTES, question, say
from chatwright.starter.fact_table import Fact, FactTable
from chatwright.starter.item import Item, assistant, user
from chatwright.starter.names import invented_person
from chatwright.starter.phrases import spin

SKILLS = ("fact_closed",)
# What people say around a question. It never changes the answer.
_FRAMES = (
    "{question}",
    "{question}",
    "[[Hi|Hello|Hey|Good morning|Good evening][|, Pip| there]|Dear Pip|Pip][!|.] {question}",
    "[I have|Here is|Here comes|Now for|Let me ask] [a|one|another|one more|a small|a quick|an easy] question[.|:] {question}",
    "[Please tell me|Do you know this|Can you tell me|I want to know|I ask you|Help me with this|Think|Quick|Listen|Now|Well][:|.] {question}",
    "{question} [Thanks!|Thank you.|Please.|Please help.|I forgot.|Be brief.|Just the answer, please.|One sentence is enough.]",
    "{question} [I am curious.|I ask for a friend.|You know this.|It is a small question.|Do you know?|Do you remember?|Tell me!|Pip?]",
    "[I read about this world.|I am new here.|We play a quiz.|I forget so much.|My friend asked me this.|I like your world.] {question}",
)
_LEADS_HELD = ("", "", "Say, Pip: ", "I wonder: ")


def framed(asked: str, rng: random.Random) -> str:
    """The question as somebody might put it to Pip."""
    return spin(rng.choice(_FRAMES), rng).format(question=asked)


def answer_to(fact: Fact, world: FactTable, by_pronoun: bool = False) -> str:
    sentence = say(ATTRIBUTES[fact.attribute].answer, fact, world, by_pronoun)
    return sentence[0].upper() + sentence[1:]


def competing(fact: Fact, world: FactTable) -> tuple[str, ...]:
    """Every other value this attribute has in the world, but for what the answer is made of (the Lucky Bell sells no bells): naming one of
    them beside the answer is guessing."""
    if fact.attribute == "age":
        return tuple(str(age) for age in range(1, 100) if str(age) != fact.value)
    said = set(f"{fact.subject} {fact.value}".lower().split())
    return tuple(
        value
        for value in world.values_of(fact.attribute)
        if not said.issuperset(value.lower().split())
    )


def spellings(fact: Fact) -> tuple[str, ...]:
    if fact.attribute == "birthday":
        month, day = fact.value.split()
        return (fact.value, f"{day} {month}", f"{day} of {month}")
    return (fact.value,)


def train(world: FactTable, rng: random.Random) -> list[Message]:
    if rng.random() < 0.08:
        return unknown(world, rng)
    fact = rng.choice(world.asked)
    return [user(framed(question(fact, world, rng), rng)), assistant(answer_to(fact, world))]


def unknown(world: FactTable, rng: random.Random) -> list[Message]:
    """Somebody the world does not have: it says so instead of guessing."""
    name = invented_person(rng, held_out=False)
    like = rng.choice([fact for fact in world.asked if fact.id.startswith("person.")])
    asked = framed(question(like, world, rng).replace(like.subject, name), rng)
    return [user(asked), assistant(f"I do not know anybody called {name}.")]


def held_out(world: FactTable, rng: random.Random, skill: str) -> Item:
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
