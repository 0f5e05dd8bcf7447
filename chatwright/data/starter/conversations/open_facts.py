"""Open-book facts: people nobody knows, told in the same message as the question."""

import random

from chatwright.conversation import Message
from chatwright.data.starter.attributes import PERSON, say_of
from chatwright.data.starter.item import Item, assistant, user
from chatwright.data.starter.strangers import TOLD, answer, story, strangers
from chatwright.data.starter.world import Person, World

SKILLS = ("fact_open",)
_FRAMES = (
    "{text} {question}",
    "{text} {question}",
    "{question} {text}",
    "Read this. {text} {question}",
    "Here are some facts. {text} {question}",
)


def draw(rng: random.Random, held_out: bool) -> tuple[list[Person], str, str]:
    """The people, the attribute asked about, and the text that tells it: never without somebody else's competing value."""
    attributes = rng.sample(TOLD, rng.choice((1, 2, 2)))
    people = strangers(rng, held_out, rng.choice((2, 2, 3)), attributes)
    return people, attributes[0], story(people, attributes, rng, held_out)


def train(world: World, rng: random.Random) -> list[Message]:
    people, attribute, text = draw(rng, held_out=False)
    person = rng.choice(people)
    question = say_of(rng.choice(PERSON[attribute].ask), person.name, person, "")
    return [user(rng.choice(_FRAMES).format(text=text, question=question)), assistant(answer(person, attribute))]


def held_out(world: World, rng: random.Random, skill: str) -> Item:
    people, attribute, text = draw(rng, held_out=True)
    person = rng.choice(people)
    template = rng.choice(PERSON[attribute].ask_held)
    return Item(
        skill="fact_open",
        messages=(user(f"{text} {say_of(template, person.name, person, '')}"),),
        expected=assistant(answer(person, attribute)),
        must=((person.facts[attribute].value,),),
        forbid=tuple(other.facts[attribute].value for other in people if other is not person),
        max_words=20,
        book="open",
        template=template,
    )
