"""Follow-up questions: a pronoun, or "And Tobin?", that only the turns before explain. Closed-book and open-book."""

import random

from chatwright.conversation import Message
from chatwright.starter.attributes import question, question_of, say, say_of
from chatwright.starter.conversations.facts import answer_to, competing, spellings
from chatwright.starter.conversations.open_facts import told
from chatwright.starter.fact_table import Fact, FactTable, Person
from chatwright.starter.item import Item, assistant, user
from chatwright.starter.person_attributes import PERSON
from chatwright.starter.phrases import spin
from chatwright.starter.strangers import TOLD, answer, story, strangers

SKILLS = ("follow_up",)
_AND = (
    "[And|What about|And what about|But what about|And what of|Then what about] {name}?",
    "[And now|And then|And also|Then|Or|But] {name}[?|, please?|, Pip?|, do you know?]",
    "The same [for|about|with|of] {name}?",
    "[What|And what] [is it|would it be|do you say] [for|with|in the case of] {name}?",
    "[Is it the same|Is that so too|What is it like|Is it otherwise] [for|with] {name}?",
    "[Tell me|Say it|Tell it|Say that] [for|about] {name} [too|as well|also][.|, please.|!]",
    "[Can|Could|Will] you [tell me|say it|say the same thing] [for|about] {name} [too|as well|also]?",
    "[And it|The answer|And the answer|And that] for {name}?",
    "[I also ask|I also want to ask|I want to ask the same|I have to ask] about {name}.",
    "[One more|Another one|There is one more|A last one]: {name}[?|.]",
    "[Go on|Continue|Let us go on] with {name}[.|, please.]",
    "{name}[?|, please.|, what about that?|, is it the same?|: do you know?]",
    "[Do you know it|And do you know it|Have you got that|Any idea] for {name}[?| too?| as well?]",
    "[Thanks|Good|Fine|I see|Nice|All right][.|!] [And|What about|And what about|Then] {name}?",
)
_BEFORE_AGAIN = "[|||||Thanks!|I see.|Good.|And another thing:|One more thing:|Nice!|All right.|There is more to ask.|Fine. Now this:]"
_SHORT = (
    "[And|What about|And what about|But what about|And what of|Now|Then] {noun}?",
    "{noun}[?|, please.| too, please.|: do you know it?|, do you know?]",
    "[And do you know|Also tell me|And tell me|Say|Now also say|Can you also tell me|And also] {noun}[?|, please?]",
)
_AND_HELD = (
    "Same question for {name}, please.",
    "Now for {name}?",
    "{name} too?",
    "How about {name}?",
    "Next, {name}.",
)


def _two_of_one(world: FactTable, rng: random.Random, last: Fact) -> Fact:
    """Another fact of the same person, one that may be asked about."""
    others = [
        fact
        for fact in world.person(last.subject).facts.values()
        if fact != last and not fact.is_held_out
    ]
    return rng.choice(others or [last])


def _of_people(facts: list[Fact]) -> list[Fact]:
    return [fact for fact in facts if fact.id.startswith("person.")]


def train(world: FactTable, rng: random.Random) -> list[Message]:
    kind = rng.random()
    if kind < 0.4:
        last = rng.choice(_of_people(world.asked))
        first = _two_of_one(world, rng, last)
        return [
            user(question(first, world, rng)),
            assistant(answer_to(first, world)),
            user(_again(last.attribute, world.person(last.subject), rng)),
            assistant(answer_to(last, world, by_pronoun=rng.random() < 0.5)),
        ]
    if kind < 0.55:
        last = rng.choice(_of_people(world.asked))
        others = [fact for fact in world.asked if fact.attribute == last.attribute and fact != last]
        first = rng.choice(others or [last])
        return [
            user(question(first, world, rng)),
            assistant(answer_to(first, world)),
            user(_and(last.subject, rng)),
            assistant(answer_to(last, world)),
        ]
    attributes = rng.sample(TOLD, 2)
    people = strangers(rng, False, 2, attributes)
    person, other = rng.sample(people, 2)
    opening = told(
        story(people, attributes, rng, held_out=False), question_of(attributes[0], person, rng), rng
    )
    turns = [user(opening), assistant(answer(person, attributes[0]))]
    if rng.random() < 0.5:
        return [
            *turns,
            user(_again(attributes[1], person, rng)),
            assistant(answer(person, attributes[1])),
        ]
    return [*turns, user(_and(other.name, rng)), assistant(answer(other, attributes[0]))]


def _and(name: str, rng: random.Random) -> str:
    """The question before, about somebody else."""
    return spin(rng.choice(_AND), rng).format(name=name)


def _again(attribute: str, person: Person, rng: random.Random) -> str:
    """Something else about the same person, who is only "she" or "he" now."""
    if rng.random() < 0.3:
        noun = say_of(
            spin(rng.choice(PERSON[attribute].nouns), rng), person.name, person, "", pronoun=True
        )
        return _capital(spin(rng.choice(_SHORT), rng).format(noun=noun))
    return spin(f"{_BEFORE_AGAIN} {question_of(attribute, person, rng, pronoun=True)}", rng)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def held_out(world: FactTable, rng: random.Random, skill: str) -> Item:
    return _held_out_closed(world, rng) if rng.random() < 0.5 else _held_out_open(rng)


def _held_out_closed(world: FactTable, rng: random.Random) -> Item:
    last = rng.choice(_of_people(world.unasked))
    if rng.random() < 0.6:
        first = _two_of_one(world, rng, last)
        template = rng.choice(PERSON[last.attribute].again_held)
        asked = _capital(say(template, last, world, pronoun=True))
    else:
        # With another value: the answer before must not give this one away.
        others = [
            fact
            for fact in world.asked
            if fact.attribute == last.attribute and fact.value != last.value
        ]
        first = rng.choice(others or _of_people(world.asked))
        template = rng.choice(_AND_HELD)
        asked = template.format(name=last.subject)
    opening = say(rng.choice(PERSON[first.attribute].ask_held), first, world)
    return Item(
        skill="follow_up",
        messages=(user(opening), assistant(answer_to(first, world)), user(asked)),
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
        asked = _capital(say_of(template, person.name, person, "", pronoun=True))
    else:
        about, attribute = other, attributes[0]
        template = rng.choice(_AND_HELD)
        asked = template.format(name=other.name)
    return Item(
        skill="follow_up",
        messages=(
            user(f"{story(people, attributes, rng, held_out=True)} {opening}"),
            assistant(answer(person, attributes[0])),
            user(asked),
        ),
        expected=assistant(answer(about, attribute)),
        must=((about.facts[attribute].value,),),
        forbid=tuple(p.facts[attribute].value for p in people if p is not about),
        max_words=20,
        book="open",
        template=template,
    )
