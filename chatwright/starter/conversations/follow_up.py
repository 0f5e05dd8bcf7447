"""Follow-up questions such as "And his job?", which a model must read with the earlier turns.

Closed-book conversations are about people of the fact table, whom training documents describe.
Open-book conversations are about invented people, whom the prompt describes. The exam, the
held-out evaluation set, has both.
"""

import random

from chatwright.conversation import Message
from chatwright.starter.attributes import PERSON_ATTRIBUTES
from chatwright.starter.conversations.closed_book import answer_to, competing_values, spellings
from chatwright.starter.conversations.open_book import compose_prompt
from chatwright.starter.data_file import DataFile
from chatwright.starter.exam_item import CLOSED_BOOK, OPEN_BOOK, ExamItem
from chatwright.starter.fact_table import Fact, FactTable, Person, is_about_person
from chatwright.starter.fact_wording import (
    fill_template,
    fill_with_fact,
    question_about_fact,
    question_about_person,
)
from chatwright.starter.invented_people import (
    STORY_ATTRIBUTES,
    answer_about,
    draw_story,
    invent_people,
)
from chatwright.starter.messages import assistant, user
from chatwright.starter.phrasing import capitalize_first, expand

SKILLS = ("follow_up",)
_PATTERNS = DataFile("patterns/follow_up.toml")
# Shares of the closed-book conversations; the rest are open-book.
_SAME_PERSON_SHARE = 0.4
_OTHER_PERSON_SHARE = 0.15
_SHORT_QUESTION_SHARE = 0.3  # of the follow-ups about the same person


def draw_conversation(table: FactTable, rng: random.Random) -> list[Message]:
    """Draw a question and a follow-up about the same person or another one."""
    kind = rng.random()
    if kind < _SAME_PERSON_SHARE:
        return _same_person(table, rng)
    if kind < _SAME_PERSON_SHARE + _OTHER_PERSON_SHARE:
        return _other_person(table, rng)
    return _invented_people(rng)


def _same_person(table: FactTable, rng: random.Random) -> list[Message]:
    last_fact = rng.choice(_facts_about_people(table.training_facts))
    first_fact = _other_fact_of_person(table, rng, last_fact)
    return [
        user(question_about_fact(first_fact, table, rng)),
        assistant(answer_to(first_fact, table)),
        user(_ask_about_same_person(last_fact.attribute, table.person(last_fact.subject), rng)),
        assistant(answer_to(last_fact, table, by_pronoun=rng.random() < 0.5)),
    ]


def _other_person(table: FactTable, rng: random.Random) -> list[Message]:
    last_fact = rng.choice(_facts_about_people(table.training_facts))
    same_attribute = [
        fact for fact in table.training_facts if fact.attribute == last_fact.attribute
    ]
    first_fact = rng.choice([fact for fact in same_attribute if fact != last_fact] or [last_fact])
    return [
        user(question_about_fact(first_fact, table, rng)),
        assistant(answer_to(first_fact, table)),
        user(_ask_about_other_person(last_fact.subject, rng)),
        assistant(answer_to(last_fact, table)),
    ]


def _invented_people(rng: random.Random) -> list[Message]:
    attributes = rng.sample(STORY_ATTRIBUTES, 2)
    people = invent_people(rng, False, 2, attributes)
    person, other = rng.sample(people, 2)
    text = draw_story(people, attributes, rng, for_exam=False)
    question = question_about_person(attributes[0], person, rng)
    opening = user(compose_prompt(text, question, rng))
    turns = [opening, assistant(answer_about(person, attributes[0]))]
    if rng.random() < 0.5:
        follow_up = _ask_about_same_person(attributes[1], person, rng)
        return [*turns, user(follow_up), assistant(answer_about(person, attributes[1]))]
    follow_up = _ask_about_other_person(other.name, rng)
    return [*turns, user(follow_up), assistant(answer_about(other, attributes[0]))]


def _other_fact_of_person(table: FactTable, rng: random.Random, fact: Fact) -> Fact:
    """Draw another training fact of the same person; `fact` itself if there is none."""
    facts = table.person(fact.subject).facts.values()
    others = [other for other in facts if other != fact and not other.is_held_out]
    return rng.choice(others or [fact])


def _facts_about_people(facts: list[Fact]) -> list[Fact]:
    return [fact for fact in facts if is_about_person(fact)]


def _ask_about_other_person(name: str, rng: random.Random) -> str:
    """Draw a question that repeats the previous one for another person: "And Tobin?"."""
    return _PATTERNS.draw("other_person", rng).format(name=name)


def _ask_about_same_person(attribute: str, person: Person, rng: random.Random) -> str:
    """Draw a question about the same person, with a pronoun for the name."""
    if rng.random() < _SHORT_QUESTION_SHARE:
        noun = expand(rng.choice(PERSON_ATTRIBUTES[attribute].nouns), rng)
        noun = fill_template(noun, person.name, person, by_pronoun=True)
        return capitalize_first(_PATTERNS.draw("short_questions", rng).format(noun=noun))
    question = question_about_person(attribute, person, rng, by_pronoun=True)
    return expand(f"{_PATTERNS.text('before_again')} {question}", rng)


def draw_exam_item(table: FactTable, rng: random.Random, _skill: str) -> ExamItem:
    """Draw an item about people of the fact table or about invented people."""
    if rng.random() < 0.5:
        return _closed_book_item(table, rng)
    return _open_book_item(rng)


def _closed_book_item(table: FactTable, rng: random.Random) -> ExamItem:
    last_fact = rng.choice(_facts_about_people(table.held_out_facts))
    if rng.random() < 0.6:
        first_fact = _other_fact_of_person(table, rng, last_fact)
        template = rng.choice(PERSON_ATTRIBUTES[last_fact.attribute].exam_follow_ups)
        question = capitalize_first(fill_with_fact(template, last_fact, table, by_pronoun=True))
    else:
        first_fact = _fact_with_other_value(table, rng, last_fact)
        template = rng.choice(_PATTERNS["exam_other_person"])
        question = template.format(name=last_fact.subject)
    opening = rng.choice(PERSON_ATTRIBUTES[first_fact.attribute].exam_questions)
    return ExamItem(
        skill="follow_up",
        messages=(
            user(fill_with_fact(opening, first_fact, table)),
            assistant(answer_to(first_fact, table)),
            user(question),
        ),
        expected=assistant(answer_to(last_fact, table)),
        required=(spellings(last_fact),),
        forbidden=competing_values(last_fact, table),
        max_words=20,
        setting=CLOSED_BOOK,
        template=template,
    )


def _fact_with_other_value(table: FactTable, rng: random.Random, fact: Fact) -> Fact:
    """Draw a training fact with another value, so that its answer does not give `fact` away."""
    others = [
        other
        for other in table.training_facts
        if other.attribute == fact.attribute and other.value != fact.value
    ]
    return rng.choice(others or _facts_about_people(table.training_facts))


def _open_book_item(rng: random.Random) -> ExamItem:
    attributes = rng.sample(STORY_ATTRIBUTES, 2)
    people = invent_people(rng, True, 2, attributes)
    person, other = rng.sample(people, 2)
    opening = rng.choice(PERSON_ATTRIBUTES[attributes[0]].exam_questions)
    if rng.random() < 0.6:
        subject = person
        attribute = attributes[1]
        template = rng.choice(PERSON_ATTRIBUTES[attribute].exam_follow_ups)
        question = capitalize_first(fill_template(template, person.name, person, by_pronoun=True))
    else:
        subject = other
        attribute = attributes[0]
        template = rng.choice(_PATTERNS["exam_other_person"])
        question = template.format(name=other.name)
    text = draw_story(people, attributes, rng, for_exam=True)
    return ExamItem(
        skill="follow_up",
        messages=(
            user(f"{text} {fill_template(opening, person.name, person)}"),
            assistant(answer_about(person, attributes[0])),
            user(question),
        ),
        expected=assistant(answer_about(subject, attribute)),
        required=((subject.facts[attribute].value,),),
        forbidden=tuple(p.facts[attribute].value for p in people if p is not subject),
        max_words=20,
        setting=OPEN_BOOK,
        template=template,
    )
