"""A person says the last answer was wrong. Rightly: it admits the mistake and says what is right. Wrongly: it stands firm, politely.

A right correction needs a wrong answer before it. Where it is the assistant's own, training shows it and does not teach it.
"""

import random

from chatwright.conversation import Message
from chatwright.starter.attributes import question_of, say_of
from chatwright.starter.conversations.facts import competing, spellings
from chatwright.starter.conversations.open_facts import told
from chatwright.starter.fact_table import Fact, FactTable, Person
from chatwright.starter.item import Item, assistant, mistaken, user
from chatwright.starter.person_attributes import PERSON
from chatwright.starter.phrases import spin
from chatwright.starter.strangers import TOLD, story, strangers, values

SKILLS = ("correction_right", "correction_wrong")
# The same words for right and wrong corrections: only what one knows or has read tells them apart.
_GUESS = (
    "[Guess|Just guess|Take a guess|Make a guess|Try to guess|A guess is fine|You may guess|If unsure, guess|I want a guess][.|:|!] {question}",
    "{question} [Just guess.|Take a guess!|A guess is fine.|You may guess.|Guess, if you must.]",
)
_DOUBT = (
    "[No|No, no|Oh no|Hm|Wait|Stop|Sorry, no|Well, no|Wrong|False|Really|What][.|!|,]",
    "[No, that|That|This|Sorry, that|Hm, that|I think that] is [not so|not right|wrong|not correct|false|a mistake|not true|not true at all].",
    "I [do not think so|do not agree|doubt that|doubt it|am not so sure|must say no|see it another way|cannot agree|do not believe that].",
    "[Are you sure|Are you really sure|Is that so|Is that right|Can that be|Is this true|Do you mean that]?",
    "[I think you|Sorry, but you|You|No, you|Oh, you] [are wrong|made a mistake|got it wrong|mix it up|mix something up|have it wrong].",
    "[Check it again|Check your notes|Look at your notes|Think again|Think about it|Try again|Again, please|Say it again, but right][.|:|!]",
    "[I heard otherwise|I know better|I remember it another way|I learned something else|Something else is in my notes|My book says no].",
    "But",
    "",
)
_CLAIM = (
    "{claim}",
    "[I think|I believe|I heard that|I read that|I know that|I am sure that|I was told that|I remember that|I would say] {claim}",
    "[somebody told me|my friend says|my friend told me|everybody says|people say|it is known|my book says|we all know] that {claim}",
    "[in truth|in fact|as I know|as far as I remember|to be exact|actually|if you ask me], {claim}",
    "[the truth is|the right answer is|it should be|it is like this|correct would be|here is what I know|my notes say|somebody told me]: {claim}",
)
_OBJECT_HELD = (
    "Hm, somebody told me otherwise: {claim}",
    "Look again, will you? {claim}",
    "My notes say something else. {claim}",
    "I do not believe it. {claim}",
    "Not at all! {claim}",
    "You mix it all up. {claim}",
)
_QUOTE = (
    "[You said|You told me|You wrote|You answered|You claimed|I heard you say|I remember that you said|Pip, you said|You just said]: {said}",
    "[Yesterday|Earlier|Last time|A moment ago|This morning|Before|Some time ago] you [said|told me|wrote|answered|claimed]: {said}",
    "[Your last answer was|Your words were these|Your answer was|Pip, your reply was|Your reply was|Your notes say|From you I have this]: {said}",
    "Last time I heard from you: {said}",
)
_QUOTE_THEN = ("[Yet|And yet|But|But then|Though|Truly,|Then again,|Still,]",)
_QUOTE_HELD = (
    "Last week I heard this from you: {said} Truly though, {claim}",
    "I wrote down your words: {said} Now I read that {claim}",
    "Pip, this was earlier your reply to me: {said} Yet {claim}",
)
# Both claims first, the person's with a mark of its own, then what is so. The mark that stood behind the right value stands behind it again,
# and tells whose it was: that is copying, which a small model learns long before it can see that two words are the same (docs/LOG.md).
_ADMIT = "I said {said}. You say {claimed}! {truth}! You are right, I was wrong."
_FIRM = "I said {said}. You say {claimed}! {truth}. I was right."
ADMITTING = ("you are right", "you're right", "i was wrong", "i was mistaken", "my mistake")


def verdict(fact: Fact, person: Person, wrong: str, rightly: bool) -> str:
    said, claimed = (wrong, fact.value) if rightly else (fact.value, wrong)
    truth = _claim(fact.attribute, fact.subject, person, fact.value).removesuffix(".")
    return (_ADMIT if rightly else _FIRM).format(said=said, claimed=claimed, truth=truth)


def _claim(attribute: str, subject: str, person: Person, value: str) -> str:
    return say_of(PERSON[attribute].answer, subject, person, value)


def _fact(world: FactTable, rng: random.Random, held_out: bool) -> tuple[Fact, Person, str]:
    pool = [
        fact
        for fact in (world.unasked if held_out else world.asked)
        if fact.id.startswith("person.")
    ]
    fact = rng.choice(pool)
    others = [
        value
        for value in world.values_of(fact.attribute)
        if value not in (fact.value, fact.subject)
    ]
    return fact, world.person(fact.subject), rng.choice(others)


def _stranger(rng: random.Random, held_out: bool) -> tuple[Fact, Person, str, str]:
    attributes = rng.sample(TOLD, rng.choice((1, 2)))
    people = strangers(rng, held_out, 2, attributes)
    person, other = rng.sample(people, 2)
    wrong = other.facts[attributes[0]].value
    if rng.random() < 0.5:
        wrong = next(
            value
            for value in values(rng, attributes[0], 3, held_out)
            if value not in (person.facts[attributes[0]].value, wrong)
        )
    return person.facts[attributes[0]], person, wrong, story(people, attributes, rng, held_out)


def train(world: FactTable, rng: random.Random) -> list[Message]:
    text = ""
    if rng.random() < 0.6:
        fact, person, wrong = _fact(world, rng, held_out=False)
    else:
        fact, person, wrong, text = _stranger(rng, held_out=False)
    rightly = rng.random() < 0.5
    truth = _claim(fact.attribute, fact.subject, person, fact.value)
    false = _claim(fact.attribute, fact.subject, person, wrong)
    said, claim = (false, truth) if rightly else (truth, false)
    reply = assistant(verdict(fact, person, wrong, rightly))
    if rng.random() < 0.45:
        quoted = spin(rng.choice(_QUOTE), rng).format(said=said)
        return [
            user(_told(text, f"{quoted} {_objection(claim, rng, after_quote=True)}", rng)),
            reply,
        ]
    asked = question_of(fact.attribute, person, rng)
    if rng.random() < 0.2:
        asked, said = spin(rng.choice(_GUESS), rng).format(question=asked), f"I guess: {said}"
    before = mistaken(said) if rightly else assistant(said)
    return [user(_told(text, asked, rng)), before, user(_objection(claim, rng)), reply]


def _told(text: str, asked: str, rng: random.Random) -> str:
    return told(text, asked, rng) if text else asked


def _objection(claim: str, rng: random.Random, after_quote: bool = False) -> str:
    """Another opinion, in words that do not tell whether it is right."""
    doubts = _QUOTE_THEN if after_quote and rng.random() < 0.5 else _DOUBT
    doubt, said = spin(rng.choice(doubts), rng), spin(rng.choice(_CLAIM), rng)
    if doubt[-1:] in ("", ".", "!", "?"):
        said = said[0].upper() + said[1:]
    return f"{doubt} {said}".strip().format(claim=claim)


def held_out(world: FactTable, rng: random.Random, skill: str) -> Item:
    rightly = skill == "correction_right"
    text = ""
    if rng.random() < 0.5:
        fact, person, wrong = _fact(world, rng, held_out=True)
        forbid, right = competing(fact, world), spellings(fact)
    else:
        fact, person, wrong, text = _stranger(rng, held_out=True)
        right = (fact.value,)
        forbid = (wrong,)
    truth = _claim(fact.attribute, fact.subject, person, fact.value)
    false = _claim(fact.attribute, fact.subject, person, wrong)
    said, claim = (false, truth) if rightly else (truth, false)
    lead = f"{text} " if text else ""
    if rng.random() < 0.3:
        template = rng.choice(_QUOTE_HELD)
        messages: tuple[Message, ...] = (user(lead + template.format(said=said, claim=claim)),)
    else:
        template = rng.choice(_OBJECT_HELD)
        question = say_of(rng.choice(PERSON[fact.attribute].ask_held), fact.subject, person, "")
        messages = (user(lead + question), assistant(said), user(template.format(claim=claim)))
    return Item(
        skill=skill,
        messages=messages,
        expected=assistant(verdict(fact, person, wrong, rightly)),
        must=(right, ADMITTING) if rightly else (right,),
        forbid=tuple(value for value in forbid if value != wrong),
        deniable=(wrong,) if rightly else (wrong, *ADMITTING),
        max_words=30,
        book="open" if text else "closed",
        template=template,
    )
