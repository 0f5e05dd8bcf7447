"""Is a sentence positive, negative or neutral? Most sentences say different things of two or three and ask about one
of them, others turn a word with "not": the words alone do not decide."""

import random

from chatwright.conversation import Message
from chatwright.data.starter.item import Item, assistant, user
from chatwright.data.starter.names import is_held_out
from chatwright.data.starter.words import listed
from chatwright.data.starter.world import World

SKILLS = ("sentiment",)
GOOD = listed("good lovely great wonderful excellent friendly pleasant perfect fine delightful")
BAD = listed("bad terrible awful rude poor horrible boring nasty dull unpleasant")
NEUTRAL = listed("usual normal common plain simple average new old long short")
THINGS = listed("soup film book room hotel music waiter market boat party shop cake game song trip house story lesson bed garden")
LABELS = ("positive", "negative", "neutral")
_ASK = (
    "Is this positive, negative or neutral? {text}",
    "What is the feeling of this sentence? {text}",
    "Positive or negative? {text}",
    "{text} Is that positive, negative or neutral?",
    "Tell me the feeling of this: {text}",
    "Sentiment: {text}",
    "What is the mood of this review? {text}",
    "How does the writer feel? {text}",
    "Was someone pleased? {text}",
    "Judge this: {text}",
    "What tone do these words have? {text}",
    "{text} In what mood is that?",
    "Sort this remark: {text}",
)
_ASK_HELD = (
    "How does the writer of these words feel? {text}",
    "Someone wrote to us: {text} Was this person pleased or not?",
    "Sort this review by its mood. {text}",
    "{text} What mood do you read in it?",
    "Judge the tone in this remark here. {text}",
)
_ASPECT = (
    "{text} Is that positive, negative or neutral about the {thing}?",
    "Sentiment about the {thing}: {text}",
    "What is the feeling about the {thing}? {text}",
    "How does someone feel about the {thing}? {text}",
    "Judge only the {thing}: {text}",
    "{text} What is the tone about the {thing}?",
    "{text} Was the writer pleased with the {thing}?",
    "Review of the {thing}, what mood? {text}",
    "Sort this for the {thing}: {text}",
)
_ASPECT_HELD = (
    "{text} Was this person pleased with the {thing} or not?",
    "Only the {thing} matters to me. Judge the tone. {text}",
    "How does the writer feel, for the {thing} only? {text}",
    "{text} What mood do you read in it for the {thing}?",
    "Sort this review by its mood about the {thing}. {text}",
)


def _clause(rng: random.Random, label: str, held_out: bool) -> tuple[str, str]:
    """(the thing, a clause about it that carries the label)."""
    while True:
        thing = rng.choice(THINGS)
        negated = label != "neutral" and rng.random() < 0.35
        pool = NEUTRAL if label == "neutral" else (GOOD if (label == "positive") != negated else BAD)
        word = rng.choice(pool)
        if is_held_out(f"{thing} {word}") == held_out:
            break
    # Held-out sentences have a shape of their own; in training nothing is ever "ours".
    shape = "our {} seemed {}" if held_out else rng.choice(("the {} was {}", "the {} was {}", "the {} seemed {}", "we found the {} {}"))
    return thing, shape.format(thing, f"not {word}" if negated else word)


def draw(rng: random.Random, held_out: bool) -> tuple[str, str, str, bool]:
    """(text, thing asked about, its label, does the text also say something else)."""
    count = rng.choice((1, 1, 2, 2, 2, 3, 3))
    clauses: dict[str, tuple[str, str]] = {}
    for label in rng.sample(LABELS, count):
        thing, clause = _clause(rng, label, held_out)
        while thing in clauses:
            thing, clause = _clause(rng, label, held_out)
        clauses[thing] = (clause, label)
    said = [clause for clause, _ in clauses.values()]
    text = said[0] if count == 1 else f"{', '.join(said[:-1])}, but {said[-1]}"
    asked = rng.choice(list(clauses))
    return f"{text[0].upper()}{text[1:]}.", asked, clauses[asked][1], count > 1


def _answer(thing: str, label: str) -> str:
    return f"That is {label} about the {thing}."


def train(world: World, rng: random.Random) -> list[Message]:
    text, thing, label, by_aspect = draw(rng, held_out=False)
    question = rng.choice(_ASPECT if by_aspect else _ASK).format(text=text, thing=thing)
    return [user(question), assistant(_answer(thing, label))]


def held_out(world: World, rng: random.Random, skill: str) -> Item:
    text, thing, label, by_aspect = draw(rng, held_out=True)
    template = rng.choice(_ASPECT_HELD if by_aspect else _ASK_HELD)
    return Item(
        skill="sentiment",
        messages=(user(template.format(text=text, thing=thing)),),
        expected=assistant(_answer(thing, label)),
        must=((label,),),
        forbid=tuple(name for name in LABELS if name != label),
        max_words=15,
        template=template,
    )
