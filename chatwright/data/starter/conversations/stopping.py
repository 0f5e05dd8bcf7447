"""Stop exactly where the task ends: count from 14 to 19, the days from Tuesday to Friday, a word four times."""

import random

from chatwright.conversation import Message
from chatwright.data.starter.conversations.arithmetic import in_words
from chatwright.data.starter.item import Item, assistant, user
from chatwright.data.starter.names import is_held_out
from chatwright.data.starter.words import DAYS, MONTHS, OBJECTS
from chatwright.data.starter.world import World

SKILLS = ("stop",)
_RANGE = (
    "Count from {a} to {b}.",
    "Count from {a} up to {b}.",
    "Numbers from {a} to {b}",
    "Please count from {a} to {b}.",
    "Start at {a} and stop at {b}.",
    "Write the numbers {a} to {b}.",
    "Go from {a} on, stop with {b}.",
    "I start: {a}. Go on to {b}!",
    "All numbers, {a} first, {b} last.",
    "Which numbers are between {a} and {b}, both included?",
)
_RANGE_HELD = (
    "Begin at {a} and go up, but stop at {b}.",
    "First {a}, last {b}: which numbers?",
    "Write all numbers between {a} and {b}, both included.",
    "I say {a}, you go on until {b}.",
    "{a} to {b}, one by one, please.",
)
_NAMES = (
    "Name the {kind}s from {a} to {b}.",
    "Which {kind}s are there from {a} to {b}?",
    "List the {kind}s from {a} to {b}.",
    "Start with {a} and stop with {b}.",
    "Begin with {a}, end with {b}: which {kind}s?",
    "Go on from {a} until {b}.",
    "What {kind}s come from {a} to {b}?",
)
_NAMES_HELD = (
    "Begin at {a} and go on, but stop at {b}.",
    "First {a}, last {b}: which {kind}s?",
    "I say {a}, you go on until {b}.",
    "{a} to {b}, one by one, please.",
    "From {a} until {b}, what {kind}s are there?",
)
_TIMES = (
    "Say {word} {n} times.",
    "Say the word {word} {n} times.",
    "Write {word} {n} times.",
    "Repeat {word} {n} times.",
    "Give me {word} {n} times in a line.",
    "{n} copies of {word}, please.",
    "Again and again: {word}, {n} of it.",
    "Fill a row with {word}, {n} times over.",
)
_TIMES_HELD = (
    "I would love to read {word} {n} times in a row.",
    "{word}! Again and again, {n} in all.",
    "Repeat after me, {n} times over: {word}.",
    "Please give me {n} copies of {word}.",
    "Fill a line with {word}, {n} in all.",
)


def draw(rng: random.Random, held_out: bool) -> tuple[str, dict[str, str], list[str]]:
    """(kind, slots of the question, the list that is right)."""
    while True:
        kind = rng.choice(("number", "number", "day", "month", "times"))
        if kind == "times":
            word, n = rng.choice(OBJECTS), rng.randint(2, 6)
            slots, items = {"word": word, "n": in_words(n)}, [word] * n
            key = f"{word} {n}"
        else:
            names = [str(n) for n in range(1, 41)] if kind == "number" else DAYS if kind == "day" else MONTHS
            length = rng.randint(3, 8 if kind == "number" else 5)
            start = rng.randrange(len(names) - length + 1)
            items = list(names[start : start + length])
            slots = {"kind": kind, "a": items[0], "b": items[-1]}
            key = f"{items[0]} {items[-1]}"
        if is_held_out(key, one_in=4) == held_out:
            return kind, slots, items


def _line(items: list[str]) -> str:
    text = ", ".join(items) + "."
    return text[0].upper() + text[1:]


def train(world: World, rng: random.Random) -> list[Message]:
    kind, slots, items = draw(rng, held_out=False)
    templates = {"number": _RANGE, "times": _TIMES}.get(kind, _NAMES)
    return [user(rng.choice(templates).format(**slots)), assistant(_line(items))]


def held_out(world: World, rng: random.Random, skill: str) -> Item:
    kind, slots, items = draw(rng, held_out=True)
    template = rng.choice({"number": _RANGE_HELD, "times": _TIMES_HELD}.get(kind, _NAMES_HELD))
    return Item(
        skill="stop",
        messages=(user(template.format(**slots)),),
        expected=assistant(_line(items)),
        must=((_line(items).rstrip("."),),),
        check="exact",
        template=template,
    )
