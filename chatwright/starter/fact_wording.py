"""Write statements and questions about facts with the sentence patterns of their attributes."""

import random

from chatwright.starter.attributes import ATTRIBUTES, PERSON_ATTRIBUTES, Attribute
from chatwright.starter.data_file import REQUEST_PATTERNS
from chatwright.starter.fact_table import Fact, FactTable, Person
from chatwright.starter.phrasing import capitalize_first, expand, with_article

_QUESTION_SHARE = 0.5
_CLAUSE_SHARE = 0.25  # requests with a clause; the remaining quarter has a noun phrase


def draw_question_pattern(
    attribute: Attribute, rng: random.Random, by_pronoun: bool = False
) -> str:
    """Draw a training question about `attribute`, with its slots not yet filled."""
    draw = rng.random()
    if draw < _QUESTION_SHARE:
        return expand(rng.choice(attribute.follow_ups if by_pronoun else attribute.questions), rng)
    uses_clause = draw < _QUESTION_SHARE + _CLAUSE_SHARE
    request_pattern = rng.choice(REQUEST_PATTERNS["fact.clauses" if uses_clause else "fact.nouns"])
    phrase = rng.choice(attribute.clauses if uses_clause else attribute.nouns)
    return expand(request_pattern.replace("{it}", phrase), rng)


def fill_template(
    template: str, subject: str, person: Person | None, value: str = "", by_pronoun: bool = False
) -> str:
    """Fill the slots of a template with a subject and a value.

    Args:
        template: A pattern without brackets. The head of `patterns/people.toml` explains the slots.
        subject: The name of the subject.
        person: The subject if it is a person, else None.
        value: The value of the attribute; "" in questions that do not name it.
        by_pronoun: Write "she" or "he" instead of the person's name.
    """
    object_form = subject
    possessive = f"{subject}'s"
    possessive_pronoun = person.possessive_pronoun if person else "its"
    if person and by_pronoun:
        subject = person.pronoun
        object_form = person.object_pronoun
        possessive = possessive_pronoun
    return template.format(
        s=subject,
        S=capitalize_first(subject),
        o=object_form,
        p=possessive,
        P=capitalize_first(possessive),
        his=possessive_pronoun,
        v=value,
        V=capitalize_first(value),
        a=with_article(value) if value else "",
    )


def fill_with_fact(template: str, fact: Fact, table: FactTable, by_pronoun: bool = False) -> str:
    """Fill the slots of a template with a fact of the table."""
    person = table.person(fact.subject) if fact.attribute in PERSON_ATTRIBUTES else None
    return fill_template(template, fact.subject, person, fact.value, by_pronoun)


def question_about_fact(
    fact: Fact, table: FactTable, rng: random.Random, by_pronoun: bool = False
) -> str:
    """Draw a training question about a fact of the table."""
    pattern = draw_question_pattern(ATTRIBUTES[fact.attribute], rng, by_pronoun)
    return capitalize_first(fill_with_fact(pattern, fact, table, by_pronoun))


def question_about_person(
    attribute: str, person: Person, rng: random.Random, by_pronoun: bool = False
) -> str:
    """Draw a training question about any person, in the table or invented."""
    pattern = draw_question_pattern(PERSON_ATTRIBUTES[attribute], rng, by_pronoun)
    return capitalize_first(fill_template(pattern, person.name, person, by_pronoun=by_pronoun))


def answer_about_person(attribute: str, person: Person, value: str) -> str:
    """Return the sentence that gives `value`, right or wrong, for an attribute of a person."""
    return fill_template(PERSON_ATTRIBUTES[attribute].answer, person.name, person, value)
