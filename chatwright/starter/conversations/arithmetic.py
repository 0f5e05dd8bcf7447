"""Sums and differences of numbers below 100, in digits and in words.

A fifth of the pairs of numbers is held out for the exam.
"""

import random

from chatwright.conversation import Message
from chatwright.starter.data_file import DataFile
from chatwright.starter.exam_item import ExamItem
from chatwright.starter.fact_table import FactTable
from chatwright.starter.messages import assistant, user
from chatwright.starter.phrasing import as_sentence
from chatwright.starter.split import is_held_out

SKILLS = ("arithmetic",)
_PATTERNS = DataFile("patterns/arithmetic.toml")
_NUMBERS = DataFile("words/numbers.toml")
_SECTIONS = {"+": "addition", "-": "subtraction"}
_SIGN_WORDS = {"+": "plus", "-": "minus"}
_WORDS_SHARE = 0.15  # of the questions have their numbers in words
_STORY_SHARE = 0.2


def in_words(number: int) -> str:
    """Write a number from 0 to 999 in words."""
    ones = _NUMBERS["ones"]
    if number < 20:
        return ones[number]
    if number >= 100:
        rest = number % 100
        return f"{ones[number // 100]} hundred" + (f" and {in_words(rest)}" if rest else "")
    tens, unit = divmod(number, 10)
    return _NUMBERS["tens"][tens - 2] + (f"-{ones[unit]}" if unit else "")


def _draw_problem(rng: random.Random, for_exam: bool) -> tuple[int, str, int, int]:
    """Draw two operands, a sign and the result, which is never below zero."""
    while True:
        largest = 9 if rng.random() < 0.12 else 99
        a, b = rng.randint(0, largest), rng.randint(0, largest)
        sign = rng.choice("+-")
        if sign == "-" and b > a:
            a, b = b, a
        result = a + b if sign == "+" else a - b
        if for_exam and result in (a, b):
            continue  # Repeating the question would give the answer.
        # Without order: knowing 5 + 13 must not give away 13 + 5. The pairs of one-digit numbers
        # are too few to split, so all of them are for training.
        key = f"{min(a, b)}{sign}{max(a, b)}"
        if (max(a, b) > 9 and is_held_out(key)) == for_exam:
            return a, sign, b, result


def draw_conversation(table: FactTable, rng: random.Random) -> list[Message]:
    """Draw one to four problems in a row."""
    return [turn for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))) for turn in draw_turns(rng)]


def draw_turns(rng: random.Random) -> list[Message]:
    """Draw one problem and its answer."""
    a, sign, b, result = _draw_problem(rng, for_exam=False)
    if rng.random() < _WORDS_SHARE:
        question = as_sentence(_draw_question(sign, rng).format(a=in_words(a), b=in_words(b)))
        return [user(question), assistant(_answer_in_words(a, sign, b, result))]
    if rng.random() < _STORY_SHARE:
        question = _draw_story(a, sign, b, rng)
    else:
        question = _draw_question(sign, rng).format(a=a, b=b)
    return [user(question), assistant(_answer(a, sign, b, result))]


def _answer(a: int, sign: str, b: int, result: int) -> str:
    return f"{a} {_SIGN_WORDS[sign]} {b} is {result}."


def _answer_in_words(a: int, sign: str, b: int, result: int) -> str:
    return f"{in_words(a).capitalize()} {_SIGN_WORDS[sign]} {in_words(b)} is {in_words(result)}."


def _draw_question(sign: str, rng: random.Random) -> str:
    section = _SECTIONS[sign]
    kind = rng.random()
    if kind < 0.45:
        return _PATTERNS.draw(f"{section}.questions", rng)
    if kind < 0.7:
        return _PATTERNS.request(f"{section}.actions", rng)
    return _PATTERNS.request(f"{section}.{'clauses' if kind < 0.85 else 'nouns'}", rng)


def _draw_story(a: int, sign: str, b: int, rng: random.Random) -> str:
    pattern = _PATTERNS.draw(f"{_SECTIONS[sign]}.stories", rng)
    objects = rng.choice(_PATTERNS["story_objects"])
    return as_sentence(pattern.format(a=a, b=b, what=objects))


def draw_statement(rng: random.Random) -> str:
    """Draw a sentence about a sum or a difference, for documents."""
    a, sign, b, result = _draw_problem(rng, for_exam=False)
    if rng.random() < 0.2:
        return _answer_in_words(a, sign, b, result)
    return rng.choice((f"{a} {sign} {b} = {result}.", _answer(a, sign, b, result)))


def draw_exam_item(table: FactTable, rng: random.Random, skill: str) -> ExamItem:
    """Draw a held-out pair of numbers and an exam question."""
    a, sign, b, result = _draw_problem(rng, for_exam=True)
    template = rng.choice(_PATTERNS[f"{_SECTIONS[sign]}.exam_questions"])
    return ExamItem(
        skill=skill,
        messages=(user(template.format(a=a, b=b)),),
        expected=assistant(_answer(a, sign, b, result)),
        required=((str(result),),),
        forbidden_unless_denied=(str(a), str(b)),  # The only other numbers that a reply may name.
        max_words=20,
        check="number",
        template=template,
    )
