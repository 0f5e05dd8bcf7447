"""Follow-up questions: a pronoun, or "And Tobin?", that only the turns before explain. Closed-book and open-book."""

import random

from chatwright.conversation import Message
from chatwright.data.starter.attributes import PERSON, say, say_of
from chatwright.data.starter.conversations.facts import answer_to, competing, spellings
from chatwright.data.starter.item import Item, assistant, user
from chatwright.data.starter.strangers import TOLD, answer, story, strangers
from chatwright.data.starter.world import Fact, World

SKILLS = ("follow_up",)
_AND = ("And {name}?", "What about {name}?", "And what about {name}?", "And now {name}?", "The same for {name}?", "{name}?", "Then {name}?")
_AND_HELD = ("Same question for {name}, please.", "Now for {name}?", "{name} too?", "How about {name}?", "Next, {name}.")


def _two_of_one(world: World, rng: random.Random, last: Fact) -> Fact:
    """Another fact of the same person, one that may be asked about."""
    others = [fact for fact in world.person(last.subject).facts.values() if fact != last and not fact.is_held_out]
    return rng.choice(others or [last])


def _of_people(facts: list[Fact]) -> list[Fact]:
    return [fact for fact in facts if fact.id.startswith("person.")]


def train(world: World, rng: random.Random) -> list[Message]:
    kind = rng.random()
    if kind < 0.4:
        last = rng.choice(_of_people(world.asked))
        first = _two_of_one(world, rng, last)
        return [
            user(say(rng.choice(PERSON[first.attribute].ask), first, world)),
            assistant(answer_to(first, world)),
            user(say(rng.choice(PERSON[last.attribute].again), last, world, pronoun=True)),
            assistant(answer_to(last, world, by_pronoun=rng.random() < 0.5)),
        ]
    if kind < 0.55:
        last = rng.choice(_of_people(world.asked))
        first = rng.choice([fact for fact in world.asked if fact.attribute == last.attribute])
        return [
            user(say(rng.choice(PERSON[first.attribute].ask), first, world)),
            assistant(answer_to(first, world)),
            user(rng.choice(_AND).format(name=last.subject)),
            assistant(answer_to(last, world)),
        ]
    attributes = rng.sample(TOLD, 2)
    people = strangers(rng, False, 2, attributes)
    person, other = rng.sample(people, 2)
    first_question = say_of(rng.choice(PERSON[attributes[0]].ask), person.name, person, "")
    turns = [user(f"{story(people, attributes, rng, held_out=False)} {first_question}"), assistant(answer(person, attributes[0]))]
    if rng.random() < 0.5:
        question = say_of(rng.choice(PERSON[attributes[1]].again), person.he, person, "", pronoun=True)
        return [*turns, user(_capital(question)), assistant(answer(person, attributes[1]))]
    return [*turns, user(rng.choice(_AND).format(name=other.name)), assistant(answer(other, attributes[0]))]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def held_out(world: World, rng: random.Random, skill: str) -> Item:
    return _held_out_closed(world, rng) if rng.random() < 0.5 else _held_out_open(rng)


def _held_out_closed(world: World, rng: random.Random) -> Item:
    last = rng.choice(_of_people(world.unasked))
    if rng.random() < 0.6:
        first = _two_of_one(world, rng, last)
        template = rng.choice(PERSON[last.attribute].again_held)
        question = _capital(say(template, last, world, pronoun=True))
    else:
        # With another value: the answer before must not give this one away.
        others = [fact for fact in world.asked if fact.attribute == last.attribute and fact.value != last.value]
        first = rng.choice(others or _of_people(world.asked))
        template = rng.choice(_AND_HELD)
        question = template.format(name=last.subject)
    opening = say(rng.choice(PERSON[first.attribute].ask_held), first, world)
    return Item(
        skill="follow_up",
        messages=(user(opening), assistant(answer_to(first, world)), user(question)),
        expected=assistant(answer_to(last, world)),
        must=(spellings(last),),
        forbid=competing(last, world),
        max_words=20,
        book="closed",
        template=template,
    )


def _held_out_open(rng: random.Random) -> Item:
    attributes = rng.sample(TOLD, 2)
    people = strangers(rng, True, 2, attributes)
    person, other = rng.sample(people, 2)
    opening = say_of(rng.choice(PERSON[attributes[0]].ask_held), person.name, person, "")
    if rng.random() < 0.6:
        about, attribute = person, attributes[1]
        template = rng.choice(PERSON[attribute].again_held)
        question = _capital(say_of(template, person.name, person, "", pronoun=True))
    else:
        about, attribute = other, attributes[0]
        template = rng.choice(_AND_HELD)
        question = template.format(name=other.name)
    return Item(
        skill="follow_up",
        messages=(
            user(f"{story(people, attributes, rng, held_out=True)} {opening}"),
            assistant(answer(person, attributes[0])),
            user(question),
        ),
        expected=assistant(answer(about, attribute)),
        must=((about.facts[attribute].value,),),
        forbid=tuple(p.facts[attribute].value for p in people if p is not about),
        max_words=20,
        book="open",
        template=template,
    )
