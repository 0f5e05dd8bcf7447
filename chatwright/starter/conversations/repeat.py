"""Repeat one of two e-mail addresses or phone numbers that the user gave earlier.

The exam, the held-out evaluation set, uses other addresses and numbers than training.
"""

import random
from dataclasses import dataclass

from chatwright.conversation import Message
from chatwright.starter.conversations import arithmetic
from chatwright.starter.conversations.closed_book import answer_to
from chatwright.starter.data_file import DataFile
from chatwright.starter.exam_item import OPEN_BOOK, ExamItem
from chatwright.starter.fact_table import FactTable
from chatwright.starter.fact_wording import question_about_fact
from chatwright.starter.invented_names import invent_person_name, with_different_initials
from chatwright.starter.messages import assistant, user
from chatwright.starter.phrasing import as_sentence
from chatwright.starter.split import is_held_out

SKILLS = ("repeat",)
_PATTERNS = DataFile("patterns/repeat.toml")


@dataclass(frozen=True)
class _Task:
    """The turns before the question, and the value that the question asks for."""

    turns: list[Message]
    kind: str
    """The kind of value: "e-mail address" or "phone number"."""
    owner: str
    """The person whose value the question asks for; "" for the user."""
    value: str
    other_value: str
    """The value that the question does not ask for."""

    @property
    def section(self) -> str:
        return "other" if self.owner else "own"

    @property
    def answer(self) -> str:
        """The reply. It has no full stop, which would look like a part of the value."""
        owner = self.owner.replace("my ", "your ")
        subject = f"The {self.kind} of {owner}" if owner else f"Your {self.kind}"
        return f"{subject} is {self.value}"


def _draw_value(kind: str, rng: random.Random, for_exam: bool) -> str:
    while True:
        if kind == "phone number":
            value = f"{rng.randint(100, 999)}-{rng.randint(1000, 9999)}"
        else:
            value = _draw_address(rng, for_exam)
        if is_held_out(value) == for_exam:
            return value


def _draw_address(rng: random.Random, for_exam: bool) -> str:
    name = invent_person_name(rng, for_exam).lower()
    form = rng.choice(("{name}@{host}", "{name}.{middle}@{host}", "{name}{number}@{host}"))
    middle = invent_person_name(rng, for_exam).lower()
    number = rng.randint(1, 99)
    host = f"{rng.choice(_PATTERNS['hosts'])}.{rng.choice(_PATTERNS['top_level_domains'])}"
    return form.format(name=name, middle=middle, number=number, host=host)


def _draw_task(table: FactTable, rng: random.Random, for_exam: bool) -> _Task:
    kind = rng.choice(_PATTERNS["kinds"])
    owners = _PATTERNS["owners"]
    owner = rng.choice(owners if for_exam else owners + _PATTERNS["more_owners"])
    own_value, other_value = with_different_initials(lambda: _draw_value(kind, rng, for_exam), 2)
    slots = {"kind": kind, "owner": owner}
    own_pattern = _draw_statement("own", rng, for_exam)
    other_pattern = _draw_statement("other", rng, for_exam)
    own_statement = own_pattern.format(value=own_value, **slots)
    other_statement = other_pattern.format(value=other_value, **slots)
    if rng.random() < 0.5:
        turns = [user(own_statement), _acknowledgment(rng)]
        turns += [user(other_statement), _acknowledgment(rng)]
    else:
        turns = [user(f"{own_statement} {other_statement}"), _acknowledgment(rng)]
        turns += _draw_unrelated_turns(table, rng, for_exam)
    if rng.random() < 0.5:
        return _Task(turns, kind, "", own_value, other_value)
    return _Task(turns, kind, owner, other_value, own_value)


def _draw_statement(section: str, rng: random.Random, for_exam: bool) -> str:
    if for_exam:
        return rng.choice(_PATTERNS[f"{section}.exam_statements"])
    return as_sentence(_PATTERNS.draw(f"{section}.statements", rng))


def _acknowledgment(rng: random.Random) -> Message:
    return assistant(rng.choice(_PATTERNS["acknowledgments"]))


def _draw_unrelated_turns(table: FactTable, rng: random.Random, for_exam: bool) -> list[Message]:
    if for_exam:
        item = arithmetic.draw_exam_item(table, rng, "arithmetic")
        return [*item.messages, item.expected]
    if rng.random() < 0.4:
        return arithmetic.draw_turns(rng)
    fact = rng.choice(table.training_facts)
    return [user(question_about_fact(fact, table, rng)), assistant(answer_to(fact, table))]


def draw_conversation(table: FactTable, rng: random.Random) -> list[Message]:
    """Draw two statements, sometimes unrelated turns, and a question about one of the values."""
    task = _draw_task(table, rng, for_exam=False)
    question = _draw_question(task.section, rng).format(kind=task.kind, owner=task.owner)
    return [*task.turns, user(question), assistant(task.answer)]


def _draw_question(section: str, rng: random.Random) -> str:
    if rng.random() < 0.4:
        return _PATTERNS.draw(f"{section}.questions", rng)
    return _PATTERNS.request(f"{section}.{rng.choice(('actions', 'clauses', 'nouns'))}", rng)


def draw_exam_item(table: FactTable, rng: random.Random, skill: str) -> ExamItem:
    """Draw statements with held-out values, and an exam question about one of them."""
    task = _draw_task(table, rng, for_exam=True)
    template = rng.choice(_PATTERNS[f"{task.section}.exam_questions"])
    question = template.format(kind=task.kind, owner=task.owner)
    return ExamItem(
        skill=skill,
        messages=(*task.turns, user(question)),
        expected=assistant(task.answer),
        required=((task.value,),),
        forbidden=(task.other_value,),
        max_words=20,
        setting=OPEN_BOOK,
        template=template,
    )
