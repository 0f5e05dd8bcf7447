"""Open-book facts: people nobody knows, told in the same message as the question."""

import random

from chatwright.conversation import Message
from chatwright.starter.attributes import question_of, say_of
from chatwright.starter.fact_table import FactTable, Person
from chatwright.starter.item import Item, assistant, user
from chatwright.starter.person_attributes import PERSON
from chatwright.starter.phrases import spin
from chatwright.starter.strangers import TOLD, answer, story, strangers

SKILLS = ("fact_open",)
_FRAMES = (
    "{text} {question}",
    "{text} {question}",
    "{text} {question}",
    "{question} {text}",
    "[Read|Study|Listen to|Look at|Remember|Keep in mind] [this|these facts|these lines|my notes|the following][.|:] {text} {question}",
    "[Here are|I have|You get] [some|a few|new] [facts|notes|lines|sentences][.|:] {text} {question}",
    "[I tell you something|Let me tell you something|This is what I heard|People told me this|A short text][.|:] {text} {question}",
    "{text} [Well|Good|Question|My question|Now my question|Now answer|Now tell me|Think about it|One question][:|.] {question}",
    "{text} [You read it|You know it now|This is what I know|Keep it in mind|There you have it|Remember it well][.|!] {question}",
    "{text} {question} [Look it up above.|It stands in the text.|Read it again if you like.|Be brief.|Thanks!|Please.|Just the answer, please.]",
    "[Hi|Hello|Hey|Good morning|Pip][|, Pip| there][!|.] {text} {question}",
    "[Use the text|Answer from the text|The answer is in the text|Read and answer][.|:] {text} {question}",
)
_BETWEEN = (
    "[Listen well|There is more|People say it|Everybody knows it|I met them yesterday|It is a small place|They are nice people]",
    "[The sun is shining|It was a long day|It is late|Birds sing outside|I like such stories|I wrote it down|It is all true|Go on reading]",
    "[And now the next one|Now somebody else|Let me see|And on it goes|Another thing|More to know|One more|Now to the next]",
)


def told(text: str, question: str, rng: random.Random) -> str:
    """A told story and what is asked about it, in some frame and sometimes with idle talk between the sentences."""
    sentences = text.split(". ")
    if rng.random() < 0.35:
        for _ in range(rng.choice((1, 1, 2))):
            sentences.insert(rng.randrange(1, len(sentences)), spin(rng.choice(_BETWEEN), rng))
    return spin(rng.choice(_FRAMES), rng).format(text=". ".join(sentences), question=question)


def draw(rng: random.Random, held_out: bool) -> tuple[list[Person], str, str]:
    """The people, the attribute asked about, and the text that tells it: never without somebody else's competing value."""
    attributes = rng.sample(TOLD, rng.choice((1, 2, 2)))
    people = strangers(rng, held_out, rng.choice((2, 2, 3)), attributes)
    return people, attributes[0], story(people, attributes, rng, held_out)


def train(world: FactTable, rng: random.Random) -> list[Message]:
    people, attribute, text = draw(rng, held_out=False)
    person = rng.choice(people)
    return [
        user(told(text, question_of(attribute, person, rng), rng)),
        assistant(answer(person, attribute)),
    ]


def held_out(world: FactTable, rng: random.Random, skill: str) -> Item:
    people, attribute, text = draw(rng, held_out=True)
    person = rng.choice(people)
    template = rng.choice(PERSON[attribute].ask_held)
    return Item(
        skill="fact_open",
        messages=(user(f"{text} {say_of(template, person.name, person, '')}"),),
        expected=assistant(answer(person, attribute)),
        must=((person.facts[attribute].value,),),
        forbid=tuple(
            part
            for other in people
            if other is not person
            for part in (other.facts[attribute].value, other.name)
        ),
        max_words=20,
        book="open",
        template=template,
    )
