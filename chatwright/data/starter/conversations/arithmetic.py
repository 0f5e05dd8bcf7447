"""Sums and differences of one- and two-digit numbers, in digits and in words. Some pairs of numbers are never trained."""

import random

from chatwright.conversation import Message
from chatwright.data.starter.item import Item, assistant, user
from chatwright.data.starter.names import is_held_out
from chatwright.data.starter.words import listed
from chatwright.data.starter.world import World

SKILLS = ("arithmetic",)
_ONES = listed(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
)
_TENS = listed("twenty thirty forty fifty sixty seventy eighty ninety")
ASK = {
    "+": (
        "What is {a} plus {b}?",
        "{a} + {b}",
        "{a} + {b} = ?",
        "How much is {a} plus {b}?",
        "Add {a} and {b}.",
        "What is {a} + {b}?",
        "{a} plus {b}",
        "What is the sum of {a} and {b}?",
        "Put {a} and {b} together.",
        "Count {a} and {b} together for me.",
        "{a} coins and {b} more coins make how many?",
        "If someone has {a} and gets {b}, how many are there?",
        "Work out {a} plus {b}.",
    ),
    "-": (
        "What is {a} minus {b}?",
        "{a} - {b}",
        "{a} - {b} = ?",
        "How much is {a} minus {b}?",
        "Take {b} from {a}.",
        "What is {a} - {b}?",
        "{a} minus {b}",
        "Remove {b} from {a}.",
        "What is left if I take {b} from {a}?",
        "{a} coins, and someone loses {b}. How many remain?",
        "How much bigger is {a} than {b}?",
        "Start at {a} and go {b} steps down.",
        "Work out {a} minus {b}, please.",
        "What remains of {a} without {b}?",
    ),
}
ASK_HELD = {
    "+": (
        "Please work out the sum of {a} and {b} for me.",
        "If you put {a} and {b} together, which number comes out?",
        "Someone has {a} coins and gets {b} more. How many are there now?",
        "Can you count {a} and {b} together?",
        "{a} and {b} make how many?",
    ),
    "-": (
        "Please work out what remains if {b} leaves {a}.",
        "Someone has {a} coins and loses {b}. How many are left now?",
        "If you go down {b} steps from {a}, which number comes out?",
        "Start from {a}, then remove {b}. How many remain?",
        "By how much is {a} bigger than {b}?",
    ),
}


def in_words(number: int) -> str:
    if number < 20:
        return _ONES[number]
    if number >= 100:
        rest = number % 100
        return f"{_ONES[number // 100]} hundred" + (f" and {in_words(rest)}" if rest else "")
    tens, ones = divmod(number, 10)
    return _TENS[tens - 2] + (f"-{_ONES[ones]}" if ones else "")


def draw(rng: random.Random, held_out: bool) -> tuple[int, str, int, int]:
    """Operands, sign and result; mostly of two digits, never below zero."""
    while True:
        top = 9 if rng.random() < 0.12 else 99
        a, b, sign = rng.randint(0, top), rng.randint(0, top), rng.choice("+-")
        if sign == "-" and b > a:
            a, b = b, a
        # Unordered for sums: knowing 5 + 3 must not give away 3 + 5. Tiny sums are all trained; there are too few to split.
        key = f"{min(a, b)}{sign}{max(a, b)}"
        result = a + b if sign == "+" else a - b
        if held_out and result in (a, b):
            continue  # repeating the question would hold the answer
        if (max(a, b) > 9 and is_held_out(key)) == held_out:
            return a, sign, b, result


def train(world: World, rng: random.Random) -> list[Message]:
    a, sign, b, result = draw(rng, held_out=False)
    word = "plus" if sign == "+" else "minus"
    if rng.random() < 0.15:
        question = rng.choice((f"What is {in_words(a)} {word} {in_words(b)}?", f"How much is {in_words(a)} {word} {in_words(b)}?"))
        return [user(question), assistant(f"{in_words(a).capitalize()} {word} {in_words(b)} is {in_words(result)}.")]
    if rng.random() < 0.2:
        return [user(story(rng, a, sign, b)), assistant(f"{a} {word} {b} is {result}.")]
    return [user(rng.choice(ASK[sign]).format(a=a, b=b)), assistant(f"{a} {word} {b} is {result}.")]


def story(rng: random.Random, a: int, sign: str, b: int) -> str:
    who, what = rng.choice(("Ben", "Anna", "Leo", "Kate", "My friend")), rng.choice(("apples", "books", "eggs", "stones", "cards"))
    if sign == "+":
        return f"{who} has {a} {what} and finds {b} more. How many {what} is that?"
    return f"{who} has {a} {what} and gives away {b}. How many {what} stay?"


def line(rng: random.Random) -> str:
    """One line of prose about a sum, for pretraining."""
    a, sign, b, result = draw(rng, held_out=False)
    word = "plus" if sign == "+" else "minus"
    if rng.random() < 0.2:
        return f"{in_words(a).capitalize()} {word} {in_words(b)} is {in_words(result)}."
    return rng.choice((f"{a} {sign} {b} = {result}.", f"{a} {word} {b} is {result}."))


def held_out(world: World, rng: random.Random, skill: str) -> Item:
    a, sign, b, result = draw(rng, held_out=True)
    template = rng.choice(ASK_HELD[sign])
    return Item(
        skill="arithmetic",
        messages=(user(template.format(a=a, b=b)),),
        expected=assistant(f"{a} {'plus' if sign == '+' else 'minus'} {b} is {result}."),
        must=((str(result),),),
        deniable=(str(a), str(b)),  # the only other numbers a reply may hold
        max_words=20,
        check="number",
        template=template,
    )
