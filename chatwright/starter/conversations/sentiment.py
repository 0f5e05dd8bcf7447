"""Is a sentence positive, negative or neutral? Most sentences say different things of two or three and ask about one
of them, others turn a word with "not": the words alone do not decide."""

import random
from dataclasses import dataclass

from chatwright.conversation import Message
from chatwright.starter.fact_table import FactTable
from chatwright.starter.item import Item, assistant, user
from chatwright.starter.names import is_held_out
from chatwright.starter.phrases import DO, GIVE, TELL, ask, spin, tidy
from chatwright.starter.words import (
    MORE_BAD,
    MORE_GOOD,
    MORE_NEUTRAL,
    MORE_PLACES_AND_SHOWS,
    listed,
)

SKILLS = ("sentiment",)
GOOD = listed("good lovely great wonderful excellent friendly pleasant perfect fine delightful")
BAD = listed("bad terrible awful rude poor horrible boring nasty dull unpleasant")
NEUTRAL = listed("usual normal common plain simple average new old long short")
THINGS = listed(
    "soup film book room hotel music waiter market boat party shop cake game song trip house story lesson bed garden"
)
LABELS = ("positive", "negative", "neutral")
# {about} is empty or "about the soup"; the sentence itself goes before or behind.
_WRITTEN = "[this|this|that|the] [|little|short] [sentence|review|remark|text|note|comment|report|line|opinion]"
_WRITER = "[the|this] [writer|person|guest|author|visitor|speaker]"
_MOOD = "[mood|feeling|tone|sentiment|opinion|verdict]"
_CHOICE = "[positive, negative or neutral|positive, neutral or negative|negative, neutral or positive|positive or negative]"
_QUESTIONS = (
    f"[Is|Was|Do you find] [this|that|it|{_WRITTEN}] {_CHOICE} {{about}}?",
    f"[What is|What was|Which is] the {_MOOD} [of|in] {_WRITTEN} {{about}}?",
    f"[What|Which] {_MOOD} [is it|is this|does it have|does this have|do these words have|is in these words|comes across] {{about}}?",
    f"How does {_WRITER} [feel|think|sound] {{about}}?",
    f"[Is|Was] [{_WRITER}|someone|anybody] [pleased|happy|unhappy|content|angry|glad] {{about}}?",
    f"[Did|Does] {_WRITER} [like it|enjoy it|complain|praise it|have a good time|sound happy] {{about}}?",
    f"{_CHOICE} {{about}}?",
    "In what mood is that {about}?",
    "[Sentiment|Mood|Tone|Feeling|Verdict|Rating] {about}[:|?|, please.]",
    "[Good or bad|Praise or blame|Happy or not|Thumbs up or down|A kind word or a bad one] {about}?",
    f"[Would you|Do you|Can one] [call|consider] [this|that|it] {_CHOICE} {{about}}?",
    f"{_WRITTEN}: {_CHOICE} {{about}}?",
)
_CLAUSES = (
    f"[what|which] {_MOOD} [this is|this has|it has|these words have] {{about}}",
    f"what the {_MOOD} [of|in] {_WRITTEN} is {{about}}",
    f"how {_WRITER} [feels|felt|thinks] {{about}}",
    f"[if|whether] [this|that|it|{_WRITTEN}] is {_CHOICE} {{about}}",
    f"[if|whether] [{_WRITER}|someone] [is|was] [pleased|happy|content|glad] {{about}}",
)
_NOUNS = (f"the {_MOOD} [of|in] {_WRITTEN} {{about}}", f"the {_MOOD} {{about}}")
_TASKS = (
    f"[judge|rate|sort|label|mark|weigh] [this|that|{_WRITTEN}] {{about}}",
    f"[read|look at] {_WRITTEN} and [name|tell me|give me] the {_MOOD} {{about}}",
    f"[decide|find out|check] [if|whether] [this|that|{_WRITTEN}] is {_CHOICE} {{about}}",
)
# Whose mood is asked for may also stand in a sentence of its own.
_ONLY = (
    "[It is|I mean|I ask for|I speak of|We talk of|Think of|Look at|Take|This is about] [just|only|] the {thing}.",
    "[My question is|I am|We are] [only|] about the {thing}[.|, nothing else.|, not the rest.]",
    "[Just|Only|] the {thing} [counts|is important|is of interest|interests me|is what I ask about|is my question|is what we need][.|, please.]",
    "[Never mind the rest|Forget everything else|Leave out the others], [what about|take|I mean] the {thing}.",
    "[I own|I made|I am here for|I want to know about|We care for|My job is] the {thing}.",
    "The {thing}[:|, please:|, then:|!]",
)
_LAYOUTS = (
    "{text} {question}",
    "{text} {question}",
    "{question} {text}",
    "{question} {text}",
    '{question} "{text}"',
    '"{text}" {question}',
)
_ASK_HELD = (
    "How does the writer of these words feel? {text}",
    "Someone wrote to us: {text} Was this person pleased or not?",
    "Sort this review by its mood. {text}",
    "{text} What mood do you read in it?",
    "Judge the tone in this remark here. {text}",
)
_ASPECT_HELD = (
    "{text} Was this person pleased with the {thing} or not?",
    "Only the {thing} matters to me. Judge the tone. {text}",
    "How does the writer feel, for the {thing} only? {text}",
    "{text} What mood do you read in it for the {thing}?",
    "Sort this review by its mood about the {thing}. {text}",
)


# Held-out sentences have a shape of their own; in training nothing is ever "ours".
_SHAPE_HELD = "our {thing} seemed {word}"
_SHAPES = (
    "[the|the|this|that|my|their] {thing} [was|was|seemed|is|looked|felt|turned out|has been|became] {word}",
    "the {thing} [today|here|there|in town|of last week|this time] [was|is|seemed] {word}",
    "[we|I|they|she|he|my friends|the guests] [found|called|thought] the {thing} {word}",
    "[[we|I|they] [say|think]|[we|I|they|he|she|everybody] [thought|said|felt|wrote]] [|that] the {thing} [was|seemed] {word}",
    "[to me|for us|in the end|at first|as always|as I remember it] the {thing} [was|seemed] {word}",
    "what [I|we|they] [remember|saw|noticed] is that the {thing} was {word}",
    "{word} is [the word for|what I call|how I found] the {thing}",
)
_DEGREES = ("", "", "", "", "very ", "really ", "quite ", "so ", "rather ", "truly ")
_NOT = ("not ", "not ", "not ", "not at all ", "never ", "not very ")
# Feelings that need no adjective.
_VERBS = {
    "positive": "[loved|liked|enjoyed|adored|praised|admired]",
    "negative": "[hated|disliked|complained about|was angry about|regretted|could not stand]",
    "neutral": "[saw|noticed|mentioned|looked at|passed|asked about]",
}


def _clause(rng: random.Random, label: str, held_out: bool) -> tuple[str, str, str]:
    """(the thing, a clause about it that carries the label, the same as a sentence that begins with the thing)."""
    good, bad, neutral, things = (
        (GOOD, BAD, NEUTRAL, THINGS)
        if held_out
        else (
            GOOD + MORE_GOOD,
            BAD + MORE_BAD,
            NEUTRAL + MORE_NEUTRAL,
            THINGS + MORE_PLACES_AND_SHOWS,
        )
    )
    while True:
        thing = rng.choice(things)
        negated = label != "neutral" and rng.random() < 0.35
        pool = (
            neutral if label == "neutral" else (good if (label == "positive") != negated else bad)
        )
        word = rng.choice(pool)
        if is_held_out(f"{thing} {word}") == held_out:
            break
    if held_out:
        word = f"not {word}" if negated else word
        return thing, _SHAPE_HELD.format(thing=thing, word=word), f"The {thing} seemed {word}"
    if rng.random() < 0.12:
        verb = spin(_VERBS[label], rng)
        clause = f"{rng.choice(('I', 'the guest', 'she', 'he', 'my brother', 'somebody'))} {verb} the {thing}"
        return thing, clause, _sentence(clause)
    word = (
        rng.choice(_NOT) + word
        if negated
        else word
        if label == "neutral"
        else rng.choice(_DEGREES) + word
    )
    clause = spin(_SHAPES[0] if rng.random() < 0.35 else rng.choice(_SHAPES), rng).format(
        thing=thing, word=word
    )
    behind = clause.partition(f"{thing} ")[2]
    return (
        thing,
        clause,
        f"The {thing} {behind if behind.endswith(word) and behind != word else f'was {word}'}",
    )


@dataclass(frozen=True)
class Review:
    text: str
    thing: str  # that is asked about
    said: str  # of it in the text
    label: str
    by_aspect: bool  # the text also says something of another thing

    @property
    def answer(self) -> str:
        """What the text says of it first: once that is read out, the mood is no longer a matter of where it stood."""
        return f"{self.said}. That is {self.label}."


def draw(rng: random.Random, held_out: bool) -> list[Review]:
    """A text, once for each thing it says something about."""
    count = rng.choice((1, 1, 2, 2, 2, 3, 3))
    clauses: dict[str, tuple[str, str, str]] = {}
    for label in rng.sample(LABELS, count):
        thing, clause, words = _clause(rng, label, held_out)
        while thing in clauses:
            thing, clause, words = _clause(rng, label, held_out)
        clauses[thing] = (clause, words, label)
    said = [clause for clause, _, _ in clauses.values()]
    text = said[0] if count == 1 else _joined(said, ", but " if held_out else rng.choice(_JOINTS))
    return [
        Review(f"{_sentence(text)}.", thing, words, label, by_aspect=count > 1)
        for thing, (_, words, label) in clauses.items()
    ]


_JOINTS = (
    ", but ",
    ", but ",
    ", but ",
    ", while ",
    " and ",
    ", and ",
    ", yet ",
    ", though ",
    "; ",
    ". ",
)


def _joined(said: list[str], joint: str) -> str:
    if joint == ". ":
        return ". ".join([said[0], *(_sentence(clause) for clause in said[1:])])
    return ", ".join(said[:-1]) + joint + said[-1]


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def train(world: FactTable, rng: random.Random) -> list[Message]:
    review = rng.choice(draw(rng, held_out=False))
    if review.by_aspect and rng.random() < 0.3:
        question = (
            f"{tidy(spin(rng.choice(_ONLY), rng).format(thing=review.thing))} {_question(rng, '')}"
        )
    else:
        about = (
            spin(
                f"[about|about|about|about|about|as to|on|when it comes to|regarding] the {review.thing}",
                rng,
            )
            if review.by_aspect
            else ""
        )
        question = _question(rng, about)
    return [
        user(spin(rng.choice(_LAYOUTS), rng).format(text=review.text, question=question)),
        assistant(review.answer),
    ]


def _question(rng: random.Random, about: str) -> str:
    draw = rng.random()
    if draw < 0.6:
        question = spin(rng.choice(_QUESTIONS), rng)
    else:
        ways, things = ((TELL, _CLAUSES), (GIVE, _NOUNS), (DO, _TASKS))[int((draw - 0.6) / 0.4 * 3)]
        question = ask(ways, things, rng)
    return tidy(question.format(about=about))


def held_out(world: FactTable, rng: random.Random, skill: str) -> Item:
    review = rng.choice(draw(rng, held_out=True))
    template = rng.choice(_ASPECT_HELD if review.by_aspect else _ASK_HELD)
    return Item(
        skill="sentiment",
        messages=(user(template.format(text=review.text, thing=review.thing)),),
        expected=assistant(review.answer),
        must=((review.label,),),
        forbid=tuple(name for name in LABELS if name != review.label),
        max_words=15,
        template=template,
    )
