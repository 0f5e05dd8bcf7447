"""Questions that presuppose a claim, true or false.

If the claim is false, the reply objects and states the truth. If it is true, the reply agrees and
says that it knows no more. The exam, the held-out evaluation set, has both kinds, so a model that
always objects fails the items with a true claim.
"""

import random
from dataclasses import dataclass

from chatwright.conversation import Message
from chatwright.starter.attributes import PERSON_ATTRIBUTES
from chatwright.starter.conversations.closed_book import add_small_talk, competing_values
from chatwright.starter.conversations.open_book import compose_prompt
from chatwright.starter.data_file import DataFile
from chatwright.starter.exam_item import CLOSED_BOOK, OPEN_BOOK, ExamItem, PhraseGroups
from chatwright.starter.fact_table import Fact, FactTable, Person
from chatwright.starter.fact_wording import answer_about_person, fill_template
from chatwright.starter.invented_people import (
    STORY_ATTRIBUTES,
    draw_story,
    draw_values,
    invent_people,
)
from chatwright.starter.messages import assistant, user
from chatwright.starter.phrasing import expand

SKILLS = ("false_premise",)
_PATTERNS = DataFile("patterns/false_premises.toml")
_ATTRIBUTES = [name for name, attribute in PERSON_ATTRIBUTES.items() if attribute.premise_questions]


@dataclass(frozen=True)
class _Premise:
    fact: Fact
    person: Person
    false_value: str
    text: str
    """A text in the prompt that states the fact; "" if only training documents state it."""
    competing: tuple[str, ...]
    """Other values of the attribute, which a right reply does not name."""


def reply_to_premise(fact: Fact, person: Person, claimed: str) -> str:
    """Agree or object to the claim that the value is `claimed`.

    An exclamation mark follows the claim, and also the truth if the claim is true: a small model
    learns to copy the mark long before it learns to compare words (docs/LOG.md).
    """
    truth = answer_about_person(fact.attribute, person, fact.value).removesuffix(".")
    template = _PATTERNS.text("agree" if claimed == fact.value else "object")
    return template.format(claimed=claimed, truth=truth)


def _draw_premise(table: FactTable, rng: random.Random, for_exam: bool) -> _Premise:
    if rng.random() < 0.5:
        return _premise_from_table(table, rng, for_exam)
    return _premise_from_story(rng, for_exam)


def _premise_from_table(table: FactTable, rng: random.Random, for_exam: bool) -> _Premise:
    facts = [fact for fact in table.askable_facts(for_exam) if fact.attribute in _ATTRIBUTES]
    fact = rng.choice(facts)
    values = table.values_of(fact.attribute)
    false_value = rng.choice([value for value in values if value not in (fact.value, fact.subject)])
    competing = competing_values(fact, table)
    return _Premise(fact, table.person(fact.subject), false_value, "", competing)


def _premise_from_story(rng: random.Random, for_exam: bool) -> _Premise:
    attributes = [name for name in STORY_ATTRIBUTES if name in _ATTRIBUTES]
    attributes = rng.sample(attributes, rng.choice((1, 2)))
    people = invent_people(rng, for_exam, 2, attributes)
    person, other = rng.sample(people, 2)
    fact = person.facts[attributes[0]]
    other_value = other.facts[attributes[0]].value
    false_value = other_value
    if rng.random() < 0.5:
        candidates = draw_values(rng, fact.attribute, 3, for_exam)
        false_value = next(v for v in candidates if v not in (fact.value, other_value))
    text = draw_story(people, attributes, rng, for_exam)
    return _Premise(fact, person, false_value, text, (other_value,))


def draw_conversation(table: FactTable, rng: random.Random) -> list[Message]:
    """Draw a question with a true or false premise, and the reply to it."""
    premise = _draw_premise(table, rng, for_exam=False)
    is_true = rng.random() < 0.4
    claimed = premise.fact.value if is_true else premise.false_value
    question = _draw_question(premise, claimed, rng)
    if premise.text:
        question = compose_prompt(premise.text, question, rng)
    else:
        question = add_small_talk(question, rng)
    return [user(question), assistant(reply_to_premise(premise.fact, premise.person, claimed))]


def _draw_question(premise: _Premise, claimed: str, rng: random.Random) -> str:
    person = premise.person
    attribute = PERSON_ATTRIBUTES[premise.fact.attribute]
    if rng.random() < 0.6:
        pattern = expand(rng.choice(attribute.premise_questions), rng)
        return fill_template(pattern, person.name, person, claimed)
    # Only statements that begin with a slot: others would need a lower-case letter after "that".
    statements = [text for text in attribute.statements if text.startswith("{")]
    claim = fill_template(rng.choice(statements), person.name, person, claimed).rstrip(".")
    return _PATTERNS.draw("presupposing_questions", rng).format(claim=claim)


def draw_exam_item(table: FactTable, rng: random.Random, skill: str) -> ExamItem:
    """Draw an item with a true or a false premise."""
    premise = _draw_premise(table, rng, for_exam=True)
    is_true = rng.random() < 0.3
    value = premise.fact.value
    claimed = value if is_true else premise.false_value
    template = rng.choice(PERSON_ATTRIBUTES[premise.fact.attribute].exam_premise_questions)
    question = fill_template(template, premise.person.name, premise.person, claimed)
    competing = tuple(
        other for other in premise.competing if is_true or other != premise.false_value
    )
    objections = _PATTERNS["objection_phrases"]
    # A right reply contains a phrase of each required group, and no forbidden phrase.
    if is_true:
        required: PhraseGroups = ((value,), ("do not know", "it is true"))
        forbidden = (*competing, *objections)
    else:
        # The truth alone is not enough: it may be stated beside the claim as if both were true.
        required = ((value,), (*objections, *_PATTERNS["more_objection_phrases"]))
        forbidden = (*competing, "it is true")
    return ExamItem(
        skill=skill,
        messages=(user(f"{premise.text} {question}".strip()),),
        expected=assistant(reply_to_premise(premise.fact, premise.person, claimed)),
        required=required,
        forbidden=forbidden,
        forbidden_unless_denied=() if is_true else (premise.false_value,),
        setting=OPEN_BOOK if premise.text else CLOSED_BOOK,
        template=template,
    )
