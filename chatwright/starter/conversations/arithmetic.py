"""Sums and differences of numbers below 100, in digits and in words.

A fifth of the problems with a number above 9 is held out for the exam, the evaluation set.
"""

import random
from dataclasses import dataclass

from chatwright.conversation import Message
from chatwright.starter.data_file import DataFile
from chatwright.starter.exam_item import ExamItem
from chatwright.starter.fact_table import FactTable
from chatwright.starter.messages import assistant, user
from chatwright.starter.phrasing import as_sentence
from chatwright.starter.split import is_held_out
from chatwright.starter.word_lists import NUMBERS

SKILLS = ("arithmetic",)
_PATTERNS = DataFile("patterns/arithmetic.toml")
_WORDS_SHARE = 0.15  # share of the questions with numbers in words
_STORY_SHARE = 0.2  # share of the other questions that tell a story


def in_words(number: int) -> str:
    """Write a number from 0 to 999 in words."""
    ones = NUMBERS["ones"]
    if number < 20:
        return ones[number]
    if number >= 100:
        remainder = number % 100
        ending = f" and {in_words(remainder)}" if remainder else ""
        return f"{ones[number // 100]} hundred{ending}"
    tens, unit = divmod(number, 10)
    return NUMBERS["tens"][tens - 2] + (f"-{ones[unit]}" if unit else "")


@dataclass(frozen=True)
class _Problem:
    a: int
    sign: str
    """`+` or `-`."""
    b: int

    @property
    def result(self) -> int:
        return self.a + self.b if self.sign == "+" else self.a - self.b

    @property
    def section(self) -> str:
        """The TOML table with the questions for this problem."""
        return "addition" if self.sign == "+" else "subtraction"

    @property
    def sign_word(self) -> str:
        return "plus" if self.sign == "+" else "minus"

    @property
    def answer(self) -> str:
        return f"{self.a} {self.sign_word} {self.b} is {self.result}."

    @property
    def answer_in_words(self) -> str:
        a, b = in_words(self.a), in_words(self.b)
        return f"{a.capitalize()} {self.sign_word} {b} is {in_words(self.result)}."

    @property
    def is_held_out(self) -> bool:
        """Whether the problem is for the exam.

        The order of the numbers does not matter: knowing 5 + 13 must not give away 13 + 5. Pairs of
        one-digit numbers are too few to split, so all of them are for training.
        """
        smaller, larger = sorted((self.a, self.b))
        return larger > 9 and is_held_out(f"{smaller}{self.sign}{larger}")


def _draw_problem(rng: random.Random, for_exam: bool) -> _Problem:
    """Draw a problem whose result is not below zero."""
    while True:
        largest = 9 if rng.random() < 0.12 else 99
        a, b = rng.randint(0, largest), rng.randint(0, largest)
        sign = rng.choice("+-")
        if sign == "-" and b > a:
            a, b = b, a
        problem = _Problem(a, sign, b)
        if for_exam and problem.result in (a, b):
            continue  # A reply that repeats the question would contain the result.
        if problem.is_held_out == for_exam:
            return problem


def draw_conversation(_table: FactTable, rng: random.Random) -> list[Message]:
    """Draw one to four problems in a row."""
    return [turn for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))) for turn in draw_turns(rng)]


def draw_turns(rng: random.Random) -> list[Message]:
    """Draw one problem and its answer."""
    problem = _draw_problem(rng, for_exam=False)
    if rng.random() < _WORDS_SHARE:
        pattern = _draw_question(problem, rng)
        question = as_sentence(pattern.format(a=in_words(problem.a), b=in_words(problem.b)))
        return [user(question), assistant(problem.answer_in_words)]
    if rng.random() < _STORY_SHARE:
        question = _draw_story(problem, rng)
    else:
        question = _draw_question(problem, rng).format(a=problem.a, b=problem.b)
    return [user(question), assistant(problem.answer)]


def draw_prompt(rng: random.Random) -> tuple[str, str]:
    """Draw a question in digits, and the number that answers it, for training on rewards."""
    problem = _draw_problem(rng, for_exam=False)
    if rng.random() < _STORY_SHARE:
        question = _draw_story(problem, rng)
    else:
        question = _draw_question(problem, rng).format(a=problem.a, b=problem.b)
    return question, str(problem.result)


def _draw_question(problem: _Problem, rng: random.Random) -> str:
    section = problem.section
    draw = rng.random()
    if draw < 0.45:
        return _PATTERNS.draw(f"{section}.questions", rng)
    if draw < 0.7:
        return _PATTERNS.request(f"{section}.actions", rng)
    return _PATTERNS.request(f"{section}.{'clauses' if draw < 0.85 else 'nouns'}", rng)


def _draw_story(problem: _Problem, rng: random.Random) -> str:
    pattern = _PATTERNS.draw(f"{problem.section}.stories", rng)
    objects = rng.choice(_PATTERNS["story_objects"])
    return as_sentence(pattern.format(a=problem.a, b=problem.b, what=objects))


def draw_statement(rng: random.Random) -> str:
    """Draw a sentence about a sum or a difference, for documents."""
    problem = _draw_problem(rng, for_exam=False)
    if rng.random() < 0.2:
        return problem.answer_in_words
    equation = f"{problem.a} {problem.sign} {problem.b} = {problem.result}."
    return rng.choice((equation, problem.answer))


def draw_exam_item(_table: FactTable, rng: random.Random, skill: str) -> ExamItem:
    """Draw a held-out problem and an exam question about it."""
    problem = _draw_problem(rng, for_exam=True)
    template = rng.choice(_PATTERNS[f"{problem.section}.exam_questions"])
    return ExamItem(
        skill=skill,
        messages=(user(template.format(a=problem.a, b=problem.b)),),
        expected=assistant(problem.answer),
        required=((str(problem.result),),),
        # The operands are the only other numbers that a reply may name.
        forbidden_unless_denied=(str(problem.a), str(problem.b)),
        max_words=20,
        check="number",
        template=template,
    )
