"""Closed-book questions: the training documents state the fact, the conversation does not.

The exam, the held-out evaluation set, asks about other facts than training does.
"""

import random

from chatwright.conversation import Message
from chatwright.starter.attributes import ATTRIBUTES
from chatwright.starter.data_file import DataFile
from chatwright.starter.exam_item import CLOSED_BOOK, ExamItem
from chatwright.starter.fact_table import Fact, FactTable, is_about_person
from chatwright.starter.fact_wording import fill_with_fact, question_about_fact
from chatwright.starter.invented_names import invent_person_name
from chatwright.starter.messages import assistant, user
from chatwright.starter.phrasing import capitalize_first

SKILLS = ("fact_closed",)
_PATTERNS = DataFile("patterns/closed_book.toml")
_UNKNOWN_PERSON_SHARE = 0.08  # share of the questions about a person who is in no document


def add_small_talk(question: str, rng: random.Random) -> str:
    """Put a question into a user message, often with a greeting, thanks or a remark."""
    return _PATTERNS.draw("prompts", rng).format(question=question)


def answer_to(fact: Fact, table: FactTable, by_pronoun: bool = False) -> str:
    """Return the sentence that answers a question about a fact."""
    return capitalize_first(
        fill_with_fact(ATTRIBUTES[fact.attribute].answer, fact, table, by_pronoun)
    )


def competing_values(fact: Fact, table: FactTable) -> tuple[str, ...]:
    """Return the wrong answers: the attribute's other values in the table, or all other ages.

    A value is left out if the subject and the right value contain all its words. A right answer
    about the shop "the Lucky Bell" names a bell, though other shops sell bells.
    """
    if fact.attribute == "age":
        return tuple(str(age) for age in range(1, 100) if str(age) != fact.value)
    answer_words = set(f"{fact.subject} {fact.value}".lower().split())
    return tuple(
        value
        for value in table.values_of(fact.attribute)
        if not answer_words.issuperset(value.lower().split())
    )


def spellings(fact: Fact) -> tuple[str, ...]:
    """Return all spellings of the value that count as right; only dates have several."""
    if fact.attribute != "birthday":
        return (fact.value,)
    month, day = fact.value.split()
    return (fact.value, f"{day} {month}", f"{day} of {month}")


def draw_conversation(table: FactTable, rng: random.Random) -> list[Message]:
    """Draw a question about a fact, sometimes about a person who is not in the fact table."""
    if rng.random() < _UNKNOWN_PERSON_SHARE:
        return _unknown_person(table, rng)
    fact = rng.choice(table.training_facts)
    question = add_small_talk(question_about_fact(fact, table, rng), rng)
    return [user(question), assistant(answer_to(fact, table))]


def _unknown_person(table: FactTable, rng: random.Random) -> list[Message]:
    """Draw a question about an unknown person; the reply says so instead of guessing."""
    name = invent_person_name(rng, for_exam=False)
    fact = rng.choice([fact for fact in table.training_facts if is_about_person(fact)])
    question = question_about_fact(fact, table, rng).replace(fact.subject, name)
    reply = _PATTERNS.text("unknown_person").format(name=name)
    return [user(add_small_talk(question, rng)), assistant(reply)]


def draw_exam_item(table: FactTable, rng: random.Random, skill: str) -> ExamItem:
    """Draw a question about a held-out fact."""
    fact = rng.choice(table.held_out_facts)
    template = rng.choice(ATTRIBUTES[fact.attribute].exam_questions)
    lead = rng.choice(_PATTERNS["exam_leads"])
    return ExamItem(
        skill=skill,
        messages=(user(lead + fill_with_fact(template, fact, table)),),
        expected=assistant(answer_to(fact, table)),
        required=(spellings(fact),),
        forbidden=competing_values(fact, table),
        max_words=20,
        setting=CLOSED_BOOK,
        template=template,
    )
