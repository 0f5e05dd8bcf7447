"""Lists that must end at the right place, such as the days from Monday to Friday.

The exam, the held-out evaluation set, asks for numbers, days, months and repeated words; training
also asks for letters. In training, lists of days and months can continue past the end of the week
or year. Otherwise there are so few lists that a model memorizes them.
"""

import random
import string
from dataclasses import dataclass, replace

from chatwright.conversation import Message
from chatwright.starter.conversations.arithmetic import in_words
from chatwright.starter.data_file import DataFile
from chatwright.starter.exam_item import ExamItem
from chatwright.starter.fact_table import FactTable
from chatwright.starter.messages import assistant, user
from chatwright.starter.phrasing import as_sentence
from chatwright.starter.split import is_held_out
from chatwright.starter.word_lists import ANIMALS, THINGS, VALUES

SKILLS = ("stop",)
_PATTERNS = DataFile("patterns/stopping.toml")
# How often each kind of list is drawn; "times" repeats a word.
_KIND_WEIGHTS = {"number": 4, "day": 2, "month": 2, "letter": 1, "times": 2}
_EXAM_KIND_WEIGHTS = {"number": 2, "day": 1, "month": 1, "times": 1}
_HELD_OUT_ONE_IN = 4


@dataclass(frozen=True)
class ListTask:
    """A list to write: a range of numbers or names, or a word several times."""

    kind: str
    """A key of the weights above."""
    entries: list[str]
    """The entries of the right list."""
    uses_digits: bool = False
    """Whether the request writes the number of repetitions in digits."""

    @property
    def slots(self) -> dict[str, str]:
        """The values of the slots in the request."""
        first = self.entries[0]
        if self.kind == "times":
            count = len(self.entries)
            return {"word": first, "n": str(count) if self.uses_digits else in_words(count)}
        return {"kind": self.kind, "a": first, "b": self.entries[-1]}

    @property
    def answer(self) -> str:
        """Repeat the task, then write the list.

        In a range, an exclamation mark follows the last entry both times. A small model learns this
        more easily than to stop after a given word.
        """
        slots = self.slots
        entries = ", ".join(self.entries)
        if self.kind == "times":
            return as_sentence(f"{slots['n']} times {slots['word']}: {entries}.")
        return f"From {slots['a']} to {slots['b']}! {entries}!"

    @property
    def section(self) -> str:
        """The TOML table with the requests for this kind of list."""
        return {"number": "numbers", "times": "times"}.get(self.kind, "names")

    def is_held_out(self) -> bool:
        """Whether the pair of first and last entry, or of word and number, is for the exam."""
        last = len(self.entries) if self.kind == "times" else self.entries[-1]
        return is_held_out(f"{self.entries[0]} {last}", _HELD_OUT_ONE_IN)


def draw_list_task(rng: random.Random, for_exam: bool) -> ListTask:
    """Draw a list for training or for the exam."""
    weights = _EXAM_KIND_WEIGHTS if for_exam else _KIND_WEIGHTS
    kinds = [kind for kind, weight in weights.items() for _ in range(weight)]
    while True:
        kind = rng.choice(kinds)
        draw_task = _draw_repetition if kind == "times" else _draw_range
        task = draw_task(kind, rng, for_exam)
        if task.is_held_out() == for_exam:
            return task


def _draw_repetition(kind: str, rng: random.Random, for_exam: bool) -> ListTask:
    word = rng.choice(THINGS["objects"] if for_exam else _repeatable_words())
    return ListTask(kind, [word] * rng.randint(2, 6 if for_exam else 8))


def _repeatable_words() -> list[str]:
    things = {*THINGS["objects"], *THINGS["more_objects"], *ANIMALS.names()}
    return sorted({*things, *VALUES["foods"], *VALUES["colors"]})


def _draw_range(kind: str, rng: random.Random, for_exam: bool) -> ListTask:
    names = _names_in_order(kind, for_exam)
    if for_exam:
        length = rng.randint(3, 8 if kind == "number" else 5)
    else:
        length = rng.randint(2, min(12, len(names)))
    continues_past_end = not for_exam and kind in ("day", "month")
    start = rng.randrange(len(names) if continues_past_end else len(names) - length + 1)
    return ListTask(kind, [names[(start + i) % len(names)] for i in range(length)])


def _names_in_order(kind: str, for_exam: bool) -> list[str]:
    if kind == "number":
        return [str(n) for n in range(1, 41 if for_exam else 101)]
    if kind == "letter":
        return list(string.ascii_lowercase)
    return list(VALUES[f"{kind}s"])


def draw_conversation(_table: FactTable, rng: random.Random) -> list[Message]:
    """Draw a request for a list and the list."""
    task = draw_list_task(rng, for_exam=False)
    if task.kind == "times" and rng.random() < 0.25:
        task = replace(task, uses_digits=True)
    return [user(_draw_request(task, rng).format(**task.slots)), assistant(task.answer)]


def _draw_request(task: ListTask, rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.35:
        return _PATTERNS.request(f"{task.section}.actions", rng)
    if draw < 0.5 and task.kind != "times":
        return _PATTERNS.request(f"{task.section}.clauses", rng)
    if draw < 0.65:
        return _PATTERNS.request(f"{task.section}.nouns", rng)
    return _PATTERNS.draw(f"{task.section}.questions", rng)


def draw_exam_item(_table: FactTable, rng: random.Random, skill: str) -> ExamItem:
    """Draw a held-out list and an exam question."""
    task = draw_list_task(rng, for_exam=True)
    template = rng.choice(_PATTERNS[f"{task.section}.exam_questions"])
    return ExamItem(
        skill=skill,
        messages=(user(template.format(**task.slots)),),
        expected=assistant(task.answer),
        required=((", ".join(task.entries),),),
        check="exact",
        template=template,
    )
