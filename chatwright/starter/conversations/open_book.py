"""Open-book questions about invented people: the user's message states the facts.

The exam, the held-out evaluation set, uses other invented names than training.
"""

import random
from dataclasses import dataclass

from chatwright.conversation import Message
from chatwright.starter.attributes import PERSON_ATTRIBUTES
from chatwright.starter.data_file import DataFile
from chatwright.starter.exam_item import OPEN_BOOK, ExamItem
from chatwright.starter.fact_table import FactTable, Person
from chatwright.starter.fact_wording import fill_template, question_about_person
from chatwright.starter.invented_people import (
    STORY_ATTRIBUTES,
    answer_about,
    draw_story,
    invent_people,
)
from chatwright.starter.messages import assistant, user

SKILLS = ("fact_open",)
_PATTERNS = DataFile("patterns/open_book.toml")
_INTERJECTION_SHARE = 0.35  # share of the texts with sentences that state no fact


def compose_prompt(text: str, question: str, rng: random.Random) -> str:
    """Put a text and a question into a user message, sometimes with interjections in the text."""
    sentences = text.split(". ")
    if rng.random() < _INTERJECTION_SHARE:
        for _ in range(rng.choice((1, 1, 2))):
            index = rng.randrange(1, len(sentences))
            sentences.insert(index, _PATTERNS.draw("interjections", rng))
    prompt = _PATTERNS.draw("prompts", rng)
    return prompt.format(text=". ".join(sentences), question=question)


@dataclass(frozen=True)
class _Task:
    """A text about several people, and the attribute of one of them to ask for."""

    text: str
    person: Person
    attribute: str
    others: list[Person]
    """The other people in the text, whose values are wrong answers."""


def _draw_task(rng: random.Random, for_exam: bool) -> _Task:
    attributes = rng.sample(STORY_ATTRIBUTES, rng.choice((1, 2, 2)))
    people = invent_people(rng, for_exam, rng.choice((2, 2, 3)), attributes)
    text = draw_story(people, attributes, rng, for_exam)
    person = rng.choice(people)
    return _Task(text, person, attributes[0], [other for other in people if other is not person])


def draw_conversation(_table: FactTable, rng: random.Random) -> list[Message]:
    """Draw a text about invented people and a question about one of them."""
    task = _draw_task(rng, for_exam=False)
    question = question_about_person(task.attribute, task.person, rng)
    return [
        user(compose_prompt(task.text, question, rng)),
        assistant(answer_about(task.person, task.attribute)),
    ]


def draw_exam_item(_table: FactTable, rng: random.Random, skill: str) -> ExamItem:
    """Draw a text about people with held-out names, and an exam question about one of them."""
    task = _draw_task(rng, for_exam=True)
    person = task.person
    template = rng.choice(PERSON_ATTRIBUTES[task.attribute].exam_questions)
    return ExamItem(
        skill=skill,
        messages=(user(f"{task.text} {fill_template(template, person.name, person)}"),),
        expected=assistant(answer_about(person, task.attribute)),
        required=((person.facts[task.attribute].value,),),
        forbidden=tuple(
            part
            for other in task.others
            for part in (other.facts[task.attribute].value, other.name)
        ),
        max_words=20,
        setting=OPEN_BOOK,
        template=template,
    )
