"""How each attribute is said and asked: statements for the prose, questions for training, other questions held out.

Slots: {s} the subject inside a sentence, {S} at its start, {o} as an object ("her"), {p} and {P} the possessive
("Mira's", "her"), {p_} always "her" or "his", {v} and {V} the value, {a} the value with a or an. Statements, answers and
`again` (follow-up questions) also work with a pronoun in the slots. What training asks is written as patterns, see
`phrases.spin`; `question` draws one. The held-out questions must share no six words in a row with anything in training;
a test holds that. Nor may a pattern give one of them word for word, however short it is.
"""

import random

from chatwright.starter.attribute import Attribute
from chatwright.starter.fact_table import Fact, FactTable, Person
from chatwright.starter.person_attributes import PERSON
from chatwright.starter.phrases import spin
from chatwright.starter.thing_attributes import THING

_FOR_CLAUSE = (
    "[Tell|Please tell|Just tell|Do tell|Kindly tell|Quickly tell|Pip, tell] me X[||, please|, if you know|, if you can|, will you].",
    "[Can|Could|Will|Would] you [||please|kindly] [tell me|say|let me know|explain|remind me|show me|find out] X?",
    "[I want|I wish|I need|I hope|I am trying|We want|My friend wants|Somebody wants] to [know|hear|learn|find out] X[||, please|, Pip].",
    "[Do you know|Do you remember|Do you happen to know|Does anybody know|Have you heard|Did you learn|Did anybody tell you|Any idea] X?",
    "[I wonder|I do not know|I never learned|I keep forgetting|I am not sure|I have no idea|I ask myself|Nobody told me] X."
    "[|| Do you know?| Do you?| Please help.| Help me!| Can you tell me?]",
    "[Say|Please say|Remind me|Let me know|Let me hear|Help me remember|Explain|Write down] X[|, please|, in one sentence|, as you know it].",
    "[My question is|The question is|What I want to know is|I only ask|I have to ask|Somebody asked me] X.[|| Do you know?| What is right?]",
)
_FOR_NOUN = (
    "[Tell|Please tell|Just tell|Do tell|Kindly tell|Pip, tell] me X[||, please|, if you know|, if you can].",
    "[Give me|Say|Let me hear|Let me know|Write down|Remind me of|Help me remember|Look up] X[||, please|, Pip|, quickly|, in one sentence].",
    "[Can|Could|Will|Would] you [||please|kindly] [tell me|say|give me|let me know|look up|remember] X?",
    "[I want|I wish|I need|I would love|I am trying] to [know|hear|learn|find out] X[||, please|, Pip].",
    "[Do you know|Do you remember|May I know|May I hear|Can I have|Do you happen to know|Did you learn|Did anybody tell you] X?",
    "[I forgot|I do not know|I never heard|I cannot remember|I keep forgetting|I was asked about|I am asking about|This is about] X."
    "[|| Can you help?| Do you remember?| Help me, please.| Please tell me.]",
    "[What about|And what about|What can you say about|What do you know about|What did you learn about|Any idea about] X?",
    "X[, please.|, if you know.|, what can you say?|?|: do you know?]",
)

ATTRIBUTES = PERSON | THING
WITH_PREMISE = tuple(name for name, attribute in PERSON.items() if attribute.premise)


def wanted(attribute: Attribute, rng: random.Random, pronoun: bool = False) -> str:
    """One of the many ways training asks for it, its slots still open: a plain question, or a request for what is wanted."""
    draw = rng.random()
    if draw < 0.5:
        return spin(rng.choice(attribute.again if pronoun else attribute.ask), rng)
    frame, phrases = (
        (_FOR_CLAUSE, attribute.clauses) if draw < 0.75 else (_FOR_NOUN, attribute.nouns)
    )
    return spin(rng.choice(frame).replace("X", rng.choice(phrases)), rng)


def with_article(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


class _Slots(str):
    """A slot value that `{V}` may not touch; see `fill`."""


def fill(
    template: str, subject: str, possessive: str, value: str = "", his: str = "their", him: str = ""
) -> str:
    """Put subject and value into a template; `{V}` is the value with a capital."""
    return template.format(
        s=subject,
        S=subject[0].upper() + subject[1:],
        p=possessive,
        P=possessive[0].upper() + possessive[1:],
        o=him or subject,
        p_=his,
        v=value,
        V=value[:1].upper() + value[1:],
        a=with_article(value) if value else "",
    )


def say(template: str, fact: Fact, world: FactTable, pronoun: bool = False) -> str:
    """A template about a fact of this world, by name or by pronoun."""
    person = world.person(fact.subject) if fact.attribute in PERSON else None
    return say_of(template, fact.subject, person, fact.value, pronoun)


def say_of(
    template: str, subject: str, person: Person | None, value: str, pronoun: bool = False
) -> str:
    if person is None:
        return fill(template, subject, f"{subject}'s", value, "its")
    if pronoun:
        return fill(template, person.he, person.his, value, person.his, person.him)
    return fill(template, subject, f"{subject}'s", value, person.his)


def question(fact: Fact, world: FactTable, rng: random.Random, pronoun: bool = False) -> str:
    """A training question about a fact of this world."""
    return _capital(say(wanted(ATTRIBUTES[fact.attribute], rng, pronoun), fact, world, pronoun))


def question_of(attribute: str, person: Person, rng: random.Random, pronoun: bool = False) -> str:
    """A training question about anybody."""
    return _capital(
        say_of(wanted(PERSON[attribute], rng, pronoun), person.name, person, "", pronoun)
    )


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
