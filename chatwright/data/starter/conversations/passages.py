"""Small stories about invented people: questions about them (`passage_qa`) and their sum in one sentence (`summary`).

A story tells what several people did, with side details. Copying it answers neither kind: the question has competing
answers in the text, and a summary may not hold the side details.
"""

import random
from dataclasses import dataclass

from chatwright.conversation import Message
from chatwright.data.starter.attributes import with_article
from chatwright.data.starter.item import Item, assistant, user
from chatwright.data.starter.names import invented_town, several
from chatwright.data.starter.words import DAYS, OBJECTS
from chatwright.data.starter.world import World

SKILLS = ("summary", "passage_qa")
# (present for questions, past, what a helper did to the object)
_VERBS = (("buy", "bought"), ("lose", "lost"), ("find", "found"), ("sell", "sold"), ("borrow", "borrowed"), ("paint", "painted"))
_DETAILS = (
    "The sun was shining.",
    "A cold wind blew.",
    "It was very early.",
    "Birds sang in the trees.",
    "Many people were there.",
    "A small dog barked.",
    "The road was long.",
    "Somebody played music.",
    "The streets were full.",
    "It smelled of fresh bread.",
)
_DETAILS_HELD = (
    "Rain had fallen all night.",
    "Two cats slept nearby.",
    "Children laughed loudly.",
    "Flowers grew everywhere.",
    "An old clock struck noon.",
    "Snow covered each roof.",
    "Nobody else came along.",
    "Soft clouds moved slowly.",
)
_DETAIL_WORDS = ("rain", "cats", "children", "flowers", "noon", "snow", "nobody", "clouds")
_SHAPES = ("On {day}, {name} {past} {a} in {town}.", "{name} {past} {a} in {town} on {day}.", "In {town}, {name} {past} {a} on {day}.")
_SHAPES_HELD = _SHAPES[:2]  # the third lets six known words stand between two names


@dataclass(frozen=True)
class Event:
    name: str
    verb: str
    past: str
    thing: str
    town: str
    day: str

    def told(self, rng: random.Random, held_out: bool) -> str:
        return rng.choice(_SHAPES_HELD if held_out else _SHAPES).format(
            name=self.name, past=self.past, a=with_article(self.thing), town=self.town, day=self.day
        )


def events(rng: random.Random, held_out: bool, count: int) -> list[Event]:
    """Events that differ from each other in everything."""
    towns: list[str] = []
    while len(towns) < count:
        town = invented_town(rng, held_out)
        if town not in towns:
            towns.append(town)
    names, things, days = several(rng, held_out, count), rng.sample(OBJECTS, count), rng.sample(DAYS, count)
    return [Event(names[i], *rng.choice(_VERBS), things[i], towns[i], days[i]) for i in range(count)]


# what is asked -> (training questions, held-out questions, answer)
QUESTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "thing": (
        (
            "What did {name} {verb}?",
            "What did {name} {verb} in {town}?",
            "Which thing did {name} {verb}?",
            "Name the object that {name} {past}.",
        ),
        ("Which object was it that {name} {past}?", "Name the thing {name} {past}."),
        "{name} {past} {a}.",
    ),
    "town": (
        (
            "Where was {name}?",
            "Where did {name} {verb} the {thing}?",
            "In which town was {name}?",
            "Which town did {name} see?",
            "Name {name}'s town in this story.",
            "What happened to {name}, in which town?",
        ),
        ("In which town did one see {name} with the {thing}?", "Name the town where all that happened to {name}."),
        "{name} was in {town}.",
    ),
    "day": (
        (
            "When did {name} {verb} the {thing}?",
            "On which day was {name} in {town}?",
            "What day was it when {name} was in {town}?",
            "Which day of the week belongs to {name}?",
            "What day brought {name} to {town}?",
        ),
        ("What day of the week was it for {name}?", "Which day brought the {thing} into this story?"),
        "It was on {day}.",
    ),
    "name": (
        (
            "Who {past} the {thing}?",
            "Who was in {town}?",
            "Which person was in {town}?",
            "Whose {thing} is it in this story?",
            "Which person had the {thing}?",
        ),
        ("Which person {past} the {thing}?", "Whose story happened in {town}?"),
        "It was {name}.",
    ),
}
_FRAMES = (
    "{text} {question}",
    "{text} {question}",
    "Read this: {text} {question}",
    "{question} {text}",
    "A passage: {text} Question: {question}",
    "{text} Now tell me: {question}",
    "Study this. {text} {question}",
)
_FRAMES_HELD = ("Here is a passage. {text} My question: {question}", "{text} So, {question}", "Study the passage first. {text} {question}")
_SUM_UP = (
    "Sum this up in one sentence: {text}",
    "Summarize: {text}",
    "Give me a short summary. {text}",
    "{text} What is this about?",
    "Make this shorter: {text}",
    "{text} Sum it up.",
    "What happened here? {text}",
    "Say briefly: {text}",
    "{text} What is the main thing?",
    "A headline, please: {text}",
    "Write this report in one line. {text}",
    "What matters in this? {text}",
    "{text} Tell me only the main point.",
)
_SUM_UP_HELD = (
    "I have no time to read all this. What happened? {text}",
    "{text} Say the main thing briefly.",
    "Tell me only what matters here: {text}",
    "Make this little report short, please. {text}",
    "Write a headline for all of this. {text}",
)


def passage(rng: random.Random, held_out: bool) -> tuple[list[Event], str]:
    happened = events(rng, held_out, rng.choice((2, 2, 3)))
    told = [event.told(rng, held_out) for event in happened]
    if rng.random() < 0.4:
        told.insert(rng.randint(0, len(told)), rng.choice(_DETAILS_HELD if held_out else _DETAILS))
    return happened, " ".join(told)


def _ask(rng: random.Random, happened: list[Event], held_out: bool) -> tuple[Event, str, str, str, str]:
    event, about = rng.choice(happened), rng.choice(sorted(QUESTIONS))
    asked, asked_held, answer = QUESTIONS[about]
    template = rng.choice(asked_held if held_out else asked)
    slots = {"name": event.name, "verb": event.verb, "past": event.past, "thing": event.thing, "town": event.town, "day": event.day}
    return event, about, template.format(**slots), answer.format(a=with_article(event.thing), **slots), template


def report(rng: random.Random, held_out: bool) -> tuple[Event, str]:
    """One event among two or three side details."""
    event = events(rng, held_out, 1)[0]
    told = rng.sample(_DETAILS_HELD if held_out else _DETAILS, rng.choice((2, 3)))
    told.insert(rng.randint(0, len(told)), event.told(rng, held_out))
    return event, " ".join(told)


def summary(event: Event) -> str:
    return f"{event.name} {event.past} {with_article(event.thing)} in {event.town}."


def train(world: World, rng: random.Random) -> list[Message]:
    if rng.random() < 0.35:
        event, text = report(rng, held_out=False)
        return [user(rng.choice(_SUM_UP).format(text=text)), assistant(summary(event))]
    happened, text = passage(rng, held_out=False)
    _, _, question, answer, _ = _ask(rng, happened, held_out=False)
    turns = [user(rng.choice(_FRAMES).format(text=text, question=question)), assistant(answer)]
    if rng.random() < 0.3:
        _, _, question, answer, _ = _ask(rng, happened, held_out=False)
        turns += [user(question), assistant(answer)]
    return turns


def held_out(world: World, rng: random.Random, skill: str) -> Item:
    if skill == "summary":
        event, text = report(rng, held_out=True)
        template = rng.choice(_SUM_UP_HELD)
        return Item(
            skill="summary",
            messages=(user(template.format(text=text)),),
            expected=assistant(summary(event)),
            must=((event.name,), (event.past,), (event.thing,)),
            forbid=_DETAIL_WORDS,
            max_words=14,
            book="open",
            template=template,
        )
    happened, text = passage(rng, held_out=True)
    event, about, question, answer, template = _ask(rng, happened, held_out=True)
    right = str(getattr(event, about))
    return Item(
        skill="passage_qa",
        messages=(user(rng.choice(_FRAMES_HELD).format(text=text, question=question)),),
        expected=assistant(answer),
        must=((right,),),
        forbid=tuple(str(getattr(other, about)) for other in happened if other is not event),
        max_words=20,
        book="open",
        template=template,
    )
