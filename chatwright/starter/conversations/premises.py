"""Questions that take something for granted. When it is false, the reply says so and says what is true; when it is
true, the reply agrees and says that it knows no more. A model that always objects fails the second half."""

import random

from chatwright.conversation import Message
from chatwright.starter.attributes import WITH_PREMISE, say_of
from chatwright.starter.conversations.facts import competing, framed
from chatwright.starter.conversations.open_facts import told
from chatwright.starter.fact_table import Fact, FactTable, Person
from chatwright.starter.item import Item, assistant, user
from chatwright.starter.person_attributes import PERSON
from chatwright.starter.phrases import spin
from chatwright.starter.strangers import TOLD, story, strangers, values

SKILLS = ("false_premise",)
# Ways to take any {claim} for granted.
_GRANTED = (
    "[How come|Why is it|How is it|Is it nice|Is it good|Is it important|Since when is it so|For how long is it so|Was it always so] that {claim}?",
    "[Tell me|Please tell me|Explain|Say|I wonder|I want to know|I ask myself] [why|since when|how it came that] {claim}.",
    "[I know|I heard|I see|We all know|It is known|Everybody knows|You know|I am glad] that {claim}. "
    "[Why?|Why is that?|Since when?|For how long?|How did that happen?|Tell me more.|What more do you know?|Was it always so?]",
    "[You say|They say|Somebody says] that {claim}. "
    "[Why?|Why is that?|Since when?|For how long?|How did it come to that?|Tell me more about that.|What is the reason?]",
    "{claim}, [I know|as I see|as you know|as we all know]. [But why|But since when|But how|And for how long]?",
    "[As|Since|Because|Now that|If] {claim}, [what comes next|what else is there|what more do you know|can you tell me more]?",
    "[What do people think|What do you think|Who was glad|Who was first to hear|Who knows] [about it|of it], that {claim}?",
    "[What is the reason|What is the story behind it|Who can explain it|What is nice about it|Is there a reason], that {claim}?",
    "[When|Where|How] did [it begin|it start|you learn|people learn|one find out] that {claim}?",
)
# What was taken for granted first, with a mark that comes back behind what is so where that is the same; see `corrections`.
_OBJECT = "You say {granted}! {truth}. So there is a mistake in the question."
_AGREE = "You say {granted}! {truth}! More than that I do not know."
_OBJECTING = (
    "is not so",
    "mistake in the question",
    "have to disagree",
    "is not",
    "isn't",
    "does not",
    "doesn't",
)
# What tells, in a held-out reply to a false premise, that it objects: the truth alone may stand beside the claim as if both were so.
_OBJECTS = (*_OBJECTING, "did not", "didn't", "mistake", "not so", "not true", "wrong", "never")


def judged(fact: Fact, person: Person, granted: str) -> str:
    truth = _ask(PERSON[fact.attribute].answer, fact, person, fact.value).removesuffix(".")
    return (_AGREE if granted == fact.value else _OBJECT).format(granted=granted, truth=truth)


def _draw(
    world: FactTable, rng: random.Random, held_out: bool
) -> tuple[Fact, Person, str, str, tuple[str, ...]]:
    """The fact, its person, a false value, the text that tells it (none: closed-book), and competing values."""
    if rng.random() < 0.5:
        pool = [
            fact
            for fact in (world.unasked if held_out else world.asked)
            if fact.attribute in WITH_PREMISE
        ]
        fact = rng.choice(pool)
        false = rng.choice(
            [
                value
                for value in world.values_of(fact.attribute)
                if value not in (fact.value, fact.subject)
            ]
        )
        return fact, world.person(fact.subject), false, "", competing(fact, world)
    attributes = rng.sample([name for name in TOLD if PERSON[name].premise], rng.choice((1, 2)))
    people = strangers(rng, held_out, 2, attributes)
    person, other = rng.sample(people, 2)
    fact, false = person.facts[attributes[0]], other.facts[attributes[0]].value
    if rng.random() < 0.5:
        false = next(
            value
            for value in values(rng, fact.attribute, 3, held_out)
            if value not in (fact.value, false)
        )
    return (
        fact,
        person,
        false,
        story(people, attributes, rng, held_out),
        (other.facts[attributes[0]].value,),
    )


def _ask(template: str, fact: Fact, person: Person, value: str) -> str:
    return say_of(template, fact.subject, person, value)


def train(world: FactTable, rng: random.Random) -> list[Message]:
    fact, person, false, text, _ = _draw(world, rng, held_out=False)
    is_true = rng.random() < 0.4
    granted = fact.value if is_true else false
    if rng.random() < 0.6:
        question = _ask(
            spin(rng.choice(PERSON[fact.attribute].premise), rng), fact, person, granted
        )
    else:
        sayings = [
            text for text in PERSON[fact.attribute].statements if text[0] == "{"
        ]  # others would need a small letter after "that"
        claim = _ask(rng.choice(sayings), fact, person, granted).rstrip(".")
        question = spin(rng.choice(_GRANTED), rng).format(claim=claim)
    return [
        user(told(text, question, rng) if text else framed(question, rng)),
        assistant(judged(fact, person, granted)),
    ]


def held_out(world: FactTable, rng: random.Random, skill: str) -> Item:
    fact, person, false, text, others = _draw(world, rng, held_out=True)
    is_true = rng.random() < 0.3
    granted = fact.value if is_true else false
    template = rng.choice(PERSON[fact.attribute].premise_held)
    question = _ask(template, fact, person, granted)
    forbid = tuple(value for value in others if is_true or value != false)
    return Item(
        skill="false_premise",
        messages=(user(f"{text} {question}".strip()),),
        expected=assistant(judged(fact, person, granted)),
        must=((fact.value,), ("do not know", "it is true"))
        if is_true
        else ((fact.value,), _OBJECTS),
        forbid=(*forbid, *_OBJECTING) if is_true else (*forbid, "it is true"),
        deniable=() if is_true else (false,),
        book="open" if text else "closed",
        template=template,
    )
