"""Open-book questions about invented people; the user's message states the facts."""

import random

from chatwright.conversation import Message
from chatwright.starter.attributes import PERSON_ATTRIBUTES
from chatwright.starter.data_file import DataFile
from chatwright.starter.exam_item import ExamItem
from chatwright.starter.fact_table import FactTable, Person
from chatwright.starter.fact_wording import describe, question_about_person
from chatwright.starter.invented_people import STORY_ATTRIBUTES, answer, invent_people, story
from chatwright.starter.messages import assistant, user

SKILLS = ("fact_open",)
_PATTERNS = DataFile("patterns/open_book.toml")
_INTERJECTION_SHARE = 0.35


def framed_with_text(text: str, question: str, rng: random.Random) -> str:
    """Put a text and a question into a frame, sometimes with interjections between sentences."""
    sentences = text.split(". ")
    if rng.random() < _INTERJECTION_SHARE:
        for _ in range(rng.choice((1, 1, 2))):
            index = rng.randrange(1, len(sentences))
            sentences.insert(index, _PATTERNS.draw("interjections", rng))
    frame = _PATTERNS.draw("frames", rng)
    return frame.format(text=". ".join(sentences), question=question)


def _draw_story(rng: random.Random, for_exam: bool) -> tuple[list[Person], str, str]:
    """Draw people, the attribute to ask about, and the text. The others have competing values."""
    attributes = rng.sample(STORY_ATTRIBUTES, rng.choice((1, 2, 2)))
    people = invent_people(rng, for_exam, rng.choice((2, 2, 3)), attributes)
    return people, attributes[0], story(people, attributes, rng, for_exam)


def draw_conversation(table: FactTable, rng: random.Random) -> list[Message]:
    """Draw a text about invented people and a question about one of them."""
    people, attribute, text = _draw_story(rng, for_exam=False)
    person = rng.choice(people)
    question = question_about_person(attribute, person, rng)
    return [
        user(framed_with_text(text, question, rng)),
        assistant(answer(person, attribute)),
    ]


def draw_exam_item(table: FactTable, rng: random.Random, skill: str) -> ExamItem:
    """Draw a text with exam names and an exam question."""
    people, attribute, text = _draw_story(rng, for_exam=True)
    person = rng.choice(people)
    template = rng.choice(PERSON_ATTRIBUTES[attribute].exam_questions)
    others = [other for other in people if other is not person]
    return ExamItem(
        skill=skill,
        messages=(user(f"{text} {describe(template, person.name, person)}"),),
        expected=assistant(answer(person, attribute)),
        required=((person.facts[attribute].value,),),
        forbidden=tuple(
            part for other in others for part in (other.facts[attribute].value, other.name)
        ),
        max_words=20,
        book="open",
        template=template,
    )
