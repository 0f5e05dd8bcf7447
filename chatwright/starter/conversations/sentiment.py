"""Classify a review as positive, negative or neutral, often about one of several things.

Most reviews judge two or three things differently and the question asks about one of them. Others
negate a word. Single words therefore do not decide the label. A fifth of the pairs of a thing and
an adjective is held out for the exam, the evaluation set.
"""

import random
from dataclasses import dataclass

from chatwright.conversation import Message
from chatwright.starter.data_file import DataFile
from chatwright.starter.exam_item import ExamItem
from chatwright.starter.fact_table import FactTable
from chatwright.starter.messages import assistant, user
from chatwright.starter.phrasing import as_sentence, capitalize_first, expand
from chatwright.starter.split import is_held_out
from chatwright.starter.word_lists import OPINIONS

SKILLS = ("sentiment",)
LABELS = ("positive", "negative", "neutral")
_OPPOSITE = {"positive": "negative", "negative": "positive"}
_PATTERNS = DataFile("patterns/sentiment.toml")
_VERB_SHARE = 0.12  # share of the judgments with a verb such as "loved" instead of an adjective


@dataclass(frozen=True)
class _Judgment:
    thing: str
    label: str
    clause: str
    """The judgment as a part of a sentence."""
    statement: str
    """The judgment as a sentence without full stop, mostly in the form "The soup was dull"."""


@dataclass(frozen=True)
class Review:
    """A text and one of the things that it judges."""

    text: str
    judgment: _Judgment
    is_about_several: bool
    """Whether the text also judges other things."""

    @property
    def answer(self) -> str:
        """Repeat the judgment, then give the label.

        So the label follows directly from the repeated judgment, wherever the review states it.
        """
        return f"{self.judgment.statement}. That is {self.judgment.label}."


def _opinion_words(name: str, for_exam: bool) -> tuple[str, ...]:
    return OPINIONS[name] if for_exam else OPINIONS[name] + OPINIONS[f"more_{name}"]


def _draw_judgment(rng: random.Random, label: str, for_exam: bool) -> _Judgment:
    """Draw a judgment. Each pair of thing and word is for training or for the exam."""
    while True:
        thing = rng.choice(_opinion_words("things", for_exam))
        is_negated = label != "neutral" and rng.random() < 0.35
        word = rng.choice(_opinion_words(_OPPOSITE[label] if is_negated else label, for_exam))
        if is_held_out(f"{thing} {word}") == for_exam:
            break
    if for_exam:
        word = f"not {word}" if is_negated else word
        clause = _PATTERNS.text("exam_judgment").format(thing=thing, word=word)
        return _Judgment(thing, label, clause, f"The {thing} seemed {word}")
    if rng.random() < _VERB_SHARE:
        verb = expand(_PATTERNS.text(f"verbs.{label}"), rng)
        clause = f"{rng.choice(_PATTERNS['persons'])} {verb} the {thing}"
        return _Judgment(thing, label, clause, capitalize_first(clause))
    if is_negated:
        word = rng.choice(_PATTERNS["negations"]) + word
    elif label != "neutral":
        word = rng.choice(_PATTERNS["degrees"]) + word
    patterns = _PATTERNS["judgments"]
    pattern = patterns[0] if rng.random() < 0.35 else rng.choice(patterns)
    clause = expand(pattern, rng).format(thing=thing, word=word)
    return _Judgment(thing, label, clause, _statement(clause, thing, word))


def _statement(clause: str, thing: str, word: str) -> str:
    """Keep the verb of the clause if it follows the thing ("looked dull"); else write "was"."""
    after_thing = clause.partition(f"{thing} ")[2]
    if after_thing.endswith(word) and after_thing != word:
        return f"The {thing} {after_thing}"
    return f"The {thing} was {word}"


def draw_reviews(rng: random.Random, for_exam: bool) -> list[Review]:
    """Draw a text, and return it once for each thing that it judges."""
    count = rng.choice((1, 1, 2, 2, 2, 3, 3))
    judgments: dict[str, _Judgment] = {}
    for label in rng.sample(LABELS, count):
        judgment = _draw_judgment(rng, label, for_exam)
        while judgment.thing in judgments:
            judgment = _draw_judgment(rng, label, for_exam)
        judgments[judgment.thing] = judgment
    clauses = [judgment.clause for judgment in judgments.values()]
    text = clauses[0]
    if count > 1:
        text = _join(clauses, ", but " if for_exam else rng.choice(_PATTERNS["separators"]))
    text = f"{capitalize_first(text)}."
    return [Review(text, judgment, count > 1) for judgment in judgments.values()]


def _join(clauses: list[str], separator: str) -> str:
    if separator == ". ":
        return ". ".join([clauses[0], *(capitalize_first(clause) for clause in clauses[1:])])
    return ", ".join(clauses[:-1]) + separator + clauses[-1]


def draw_conversation(_table: FactTable, rng: random.Random) -> list[Message]:
    """Draw a review and a question about its sentiment."""
    review = rng.choice(draw_reviews(rng, for_exam=False))
    question = _draw_question_about(review, rng)
    prompt = _PATTERNS.draw("prompts", rng).format(text=review.text, question=question)
    return [user(prompt), assistant(review.answer)]


def _draw_question_about(review: Review, rng: random.Random) -> str:
    thing = review.judgment.thing
    if not review.is_about_several:
        return _draw_question(rng, about="")
    if rng.random() < 0.3:
        aspect = as_sentence(_PATTERNS.draw("aspects", rng).format(thing=thing))
        return f"{aspect} {_draw_question(rng, about='')}"
    about = expand(_PATTERNS.text("about_phrase").format(thing=thing), rng)
    return _draw_question(rng, about)


def _draw_question(rng: random.Random, about: str) -> str:
    draw = rng.random()
    if draw < 0.6:
        question = _PATTERNS.draw("questions", rng)
    else:
        phrases = ("clauses", "nouns", "actions")[int((draw - 0.6) / 0.4 * 3)]
        question = _PATTERNS.request(phrases, rng)
    return as_sentence(question.format(about=about))


def draw_exam_item(_table: FactTable, rng: random.Random, skill: str) -> ExamItem:
    """Draw a review with a held-out pair of thing and word, and an exam question."""
    review = rng.choice(draw_reviews(rng, for_exam=True))
    questions = "exam_aspect_questions" if review.is_about_several else "exam_questions"
    template = rng.choice(_PATTERNS[questions])
    label = review.judgment.label
    prompt = template.format(text=review.text, thing=review.judgment.thing)
    return ExamItem(
        skill=skill,
        messages=(user(prompt),),
        expected=assistant(review.answer),
        required=((label,),),
        forbidden=tuple(other for other in LABELS if other != label),
        max_words=15,
        template=template,
    )
