"""Statements of facts and questions about them, from the patterns of their attributes."""

import random

from chatwright.starter.attributes import ATTRIBUTES, PERSON_ATTRIBUTES, Attribute
from chatwright.starter.data_file import REQUEST_FRAMES
from chatwright.starter.fact_table import Fact, FactTable, Person
from chatwright.starter.phrasing import capitalize_first, expand, with_article

_QUESTION_SHARE = 0.5
_CLAUSE_SHARE = 0.25  # of the requests; the rest asks for a noun phrase


def draw_question_pattern(
    attribute: Attribute, rng: random.Random, by_pronoun: bool = False
) -> str:
    """Draw a training question about `attribute`; its slots are still open."""
    kind = rng.random()
    if kind < _QUESTION_SHARE:
        return expand(rng.choice(attribute.follow_ups if by_pronoun else attribute.questions), rng)
    if kind < _QUESTION_SHARE + _CLAUSE_SHARE:
        frames, phrases = REQUEST_FRAMES["fact.clauses"], attribute.clauses
    else:
        frames, phrases = REQUEST_FRAMES["fact.nouns"], attribute.nouns
    return expand(rng.choice(frames).replace("{it}", rng.choice(phrases)), rng)


def describe(
    template: str, subject: str, person: Person | None, value: str = "", by_pronoun: bool = False
) -> str:
    """Fill a template about `subject` with a value.

    Args:
        template: A pattern without brackets. The head of `patterns/people.toml` explains the slots.
        subject: The name of the subject.
        person: The subject if it is a person, else None.
        value: The value of the attribute; "" in questions that do not name it.
        by_pronoun: Write "she" or "he" instead of the person's name.
    """
    possessive, his, object_form = f"{subject}'s", "its", subject
    if person is not None:
        his = person.possessive_pronoun
        if by_pronoun:
            subject, possessive, object_form = person.pronoun, his, person.object_pronoun
    return template.format(
        s=subject,
        S=capitalize_first(subject),
        o=object_form,
        p=possessive,
        P=capitalize_first(possessive),
        his=his,
        v=value,
        V=capitalize_first(value),
        a=with_article(value) if value else "",
    )


def describe_fact(template: str, fact: Fact, table: FactTable, by_pronoun: bool = False) -> str:
    """Fill a template with a fact of the table."""
    person = table.person(fact.subject) if fact.attribute in PERSON_ATTRIBUTES else None
    return describe(template, fact.subject, person, fact.value, by_pronoun)


def question_about_fact(
    fact: Fact, table: FactTable, rng: random.Random, by_pronoun: bool = False
) -> str:
    """Draw a training question about a fact of the table."""
    pattern = draw_question_pattern(ATTRIBUTES[fact.attribute], rng, by_pronoun)
    return capitalize_first(describe_fact(pattern, fact, table, by_pronoun))


def question_about_person(
    attribute: str, person: Person, rng: random.Random, by_pronoun: bool = False
) -> str:
    """Draw a training question about any person, also one who is not in the table."""
    pattern = draw_question_pattern(PERSON_ATTRIBUTES[attribute], rng, by_pronoun)
    return capitalize_first(describe(pattern, person.name, person, by_pronoun=by_pronoun))


def answer_about_person(attribute: str, person: Person, value: str) -> str:
    """The sentence that answers a question about `attribute` of a person with `value`."""
    return describe(PERSON_ATTRIBUTES[attribute].answer, person.name, person, value)
