"""Corrections by the user, right (`correction_right`) or wrong (`correction_wrong`).

After a right correction, the reply admits the mistake. After a wrong one, it repeats the answer.
A right correction needs an earlier wrong reply, which training shows without learning it. The exam,
the held-out evaluation set, scores both cases as skills.
"""

import random
from dataclasses import dataclass

from chatwright.conversation import Message
from chatwright.starter.attributes import PERSON_ATTRIBUTES
from chatwright.starter.conversations.closed_book import competing_values, spellings
from chatwright.starter.conversations.open_book import compose_prompt
from chatwright.starter.data_file import DataFile
from chatwright.starter.exam_item import CLOSED_BOOK, OPEN_BOOK, ExamItem
from chatwright.starter.fact_table import Fact, FactTable, Person, is_about_person
from chatwright.starter.fact_wording import (
    answer_about_person,
    fill_template,
    question_about_person,
)
from chatwright.starter.invented_people import (
    STORY_ATTRIBUTES,
    draw_story,
    draw_values,
    invent_people,
)
from chatwright.starter.messages import assistant, user, wrong_reply
from chatwright.starter.phrasing import capitalize_first

SKILLS = ("correction_right", "correction_wrong")
# Right and wrong corrections use the same words: only the facts decide which is which.
_PATTERNS = DataFile("patterns/corrections.toml")
_QUOTE_SHARE = 0.45  # share of the conversations in which the user quotes the reply
_GUESS_SHARE = 0.2  # share of the other ones, in which the user asks for a guess


@dataclass(frozen=True)
class _Dispute:
    fact: Fact
    person: Person
    wrong: str
    """A wrong value."""
    text: str
    """A text in the prompt that states the fact; "" if only training documents state it."""

    def claims(self, user_is_right: bool) -> tuple[str, str]:
        """Return the assistant's earlier sentence and the user's claim."""
        attribute = self.fact.attribute
        truth = answer_about_person(attribute, self.person, self.fact.value)
        mistake = answer_about_person(attribute, self.person, self.wrong)
        return (mistake, truth) if user_is_right else (truth, mistake)

    def reply(self, user_is_right: bool) -> str:
        """Return the assistant's reply to the correction."""
        return reply_to_correction(self.fact, self.person, self.wrong, user_is_right)


def reply_to_correction(fact: Fact, person: Person, wrong: str, user_is_right: bool) -> str:
    """Repeat both claims, state the truth, and say who was right.

    An exclamation mark follows the user's claim, and follows the truth if the user is right. A
    small model learns to copy the mark long before it learns to compare words (docs/LOG.md).
    """
    said, claimed = (wrong, fact.value) if user_is_right else (fact.value, wrong)
    truth = answer_about_person(fact.attribute, person, fact.value).removesuffix(".")
    template = _PATTERNS.text("admit" if user_is_right else "stand_firm")
    return template.format(said=said, claimed=claimed, truth=truth)


def _draw_from_table(table: FactTable, rng: random.Random, for_exam: bool) -> _Dispute:
    fact = rng.choice([fact for fact in table.askable_facts(for_exam) if is_about_person(fact)])
    values = table.values_of(fact.attribute)
    wrong = rng.choice([value for value in values if value not in (fact.value, fact.subject)])
    return _Dispute(fact, table.person(fact.subject), wrong, "")


def _draw_from_story(rng: random.Random, for_exam: bool) -> _Dispute:
    attributes = rng.sample(STORY_ATTRIBUTES, rng.choice((1, 2)))
    people = invent_people(rng, for_exam, 2, attributes)
    person, other = rng.sample(people, 2)
    attribute = attributes[0]
    fact = person.facts[attribute]
    wrong = other.facts[attribute].value
    if rng.random() < 0.5:
        candidates = draw_values(rng, attribute, 3, for_exam)
        wrong = next(value for value in candidates if value not in (fact.value, wrong))
    return _Dispute(fact, person, wrong, draw_story(people, attributes, rng, for_exam))


def draw_conversation(table: FactTable, rng: random.Random) -> list[Message]:
    """Draw a correction of the assistant's last reply, or of a reply that the user quotes."""
    if rng.random() < 0.6:
        dispute = _draw_from_table(table, rng, for_exam=False)
    else:
        dispute = _draw_from_story(rng, for_exam=False)
    user_is_right = rng.random() < 0.5
    said, claim = dispute.claims(user_is_right)
    reply = assistant(dispute.reply(user_is_right))
    if rng.random() < _QUOTE_SHARE:
        quote = _PATTERNS.draw("quotes", rng).format(said=said)
        question = f"{quote} {_objection(claim, rng, after_quote=True)}"
        return [user(_with_text(dispute.text, question, rng)), reply]
    question = question_about_person(dispute.fact.attribute, dispute.person, rng)
    if rng.random() < _GUESS_SHARE:
        question = _PATTERNS.draw("guesses", rng).format(question=question)
        said = f"I guess: {said}"
    earlier = wrong_reply(said) if user_is_right else assistant(said)
    opening = user(_with_text(dispute.text, question, rng))
    return [opening, earlier, user(_objection(claim, rng)), reply]


def _with_text(text: str, question: str, rng: random.Random) -> str:
    return compose_prompt(text, question, rng) if text else question


def _objection(claim: str, rng: random.Random, after_quote: bool = False) -> str:
    """Draw an objection whose words do not reveal whether it is right."""
    uses_short_doubt = after_quote and rng.random() < 0.5
    doubt = _PATTERNS.draw("after_quote" if uses_short_doubt else "doubts", rng)
    statement = _PATTERNS.draw("claims", rng)
    if doubt[-1:] in ("", ".", "!", "?"):
        statement = capitalize_first(statement)
    return f"{doubt} {statement}".strip().format(claim=claim)


def draw_exam_item(table: FactTable, rng: random.Random, skill: str) -> ExamItem:
    """Draw a right or a wrong correction of a held-out fact."""
    user_is_right = skill == "correction_right"
    if rng.random() < 0.5:
        dispute = _draw_from_table(table, rng, for_exam=True)
        forbidden = competing_values(dispute.fact, table)
        right = spellings(dispute.fact)
    else:
        dispute = _draw_from_story(rng, for_exam=True)
        forbidden = (dispute.wrong,)
        right = (dispute.fact.value,)
    template, messages = _exam_prompt(dispute, user_is_right, rng)
    admissions = _PATTERNS["exam_admission_phrases"]
    return ExamItem(
        skill=skill,
        messages=messages,
        expected=assistant(dispute.reply(user_is_right)),
        required=(right, admissions) if user_is_right else (right,),
        forbidden=tuple(value for value in forbidden if value != dispute.wrong),
        forbidden_unless_denied=(dispute.wrong,) if user_is_right else (dispute.wrong, *admissions),
        max_words=30,
        setting=OPEN_BOOK if dispute.text else CLOSED_BOOK,
        template=template,
    )


def _exam_prompt(
    dispute: _Dispute, user_is_right: bool, rng: random.Random
) -> tuple[str, tuple[Message, ...]]:
    """Draw an exam template for the correction, and the messages that end with the correction."""
    said, claim = dispute.claims(user_is_right)
    lead = f"{dispute.text} " if dispute.text else ""
    if rng.random() < 0.3:
        template = rng.choice(_PATTERNS["exam_quotes"])
        return template, (user(lead + template.format(said=said, claim=claim)),)
    template = rng.choice(_PATTERNS["exam_objections"])
    person = dispute.person
    questions = PERSON_ATTRIBUTES[dispute.fact.attribute].exam_questions
    question = fill_template(rng.choice(questions), person.name, person)
    return template, (
        user(lead + question),
        assistant(said),
        user(template.format(claim=claim)),
    )
