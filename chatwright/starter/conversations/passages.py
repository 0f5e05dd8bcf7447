"""Small stories about invented people: questions about them, and summaries in one sentence.

A story says what several people did, with side details. In the exam, the held-out evaluation set, a
reply that copies the story is wrong. The story contains wrong answers to the question (skill
`passage_qa`), and a summary must leave out the details (skill `summary`).
"""

import random
from dataclasses import dataclass

from chatwright.conversation import Message
from chatwright.starter.data_file import REQUEST_PATTERNS, DataFile, compose_request
from chatwright.starter.exam_item import OPEN_BOOK, ExamItem
from chatwright.starter.fact_table import FactTable
from chatwright.starter.invented_names import (
    invent_person_names,
    invent_town_name,
    with_different_initials,
)
from chatwright.starter.messages import assistant, user
from chatwright.starter.phrasing import as_sentence, capitalize_first, expand, with_article
from chatwright.starter.word_lists import DEEDS, THINGS, VALUES

SKILLS = ("summary", "passage_qa")
_PATTERNS = DataFile("patterns/passages.toml")
_SUMMARY_SHARE = 0.35  # of the conversations
# The exam uses the first two event patterns. The others can give six words in a row without a
# held-out name, which a training text may contain too.
_N_EXAM_EVENT_PATTERNS = 2


@dataclass(frozen=True)
class Event:
    """Who did what to which thing, where and when."""

    name: str
    verb: str
    """Present tense, for questions: "did Zol buy"."""
    past: str
    """Past tense and participle."""
    thing: str
    town: str
    day: str

    def fill(self, pattern: str) -> str:
        """Fill the slots of a pattern whose brackets are expanded."""
        noun = with_article(self.thing)
        return pattern.format(
            name=self.name,
            verb=self.verb,
            past=self.past,
            thing=self.thing,
            a=noun,
            A=capitalize_first(noun),
            town=self.town,
            day=self.day,
        )

    def report(self, rng: random.Random, for_exam: bool) -> str:
        """Draw a sentence that reports the event."""
        patterns = _PATTERNS["events"]
        if for_exam or rng.random() < 0.35:
            return self.fill(rng.choice(patterns[:_N_EXAM_EVENT_PATTERNS]))
        return self.fill(expand(rng.choice(patterns), rng))

    @property
    def summary(self) -> str:
        """One short sentence about the event, the right summary of a story with side details."""
        return self.fill(_PATTERNS.text("summary.answer"))


def _draw_events(rng: random.Random, for_exam: bool, count: int) -> list[Event]:
    """Draw events that differ in name, thing, town and day."""
    names = invent_person_names(rng, for_exam, count)
    towns = with_different_initials(lambda: invent_town_name(rng, for_exam), count, names)
    things = THINGS["objects"]
    deeds = DEEDS.table("deeds")
    if not for_exam:
        things += THINGS["more_objects"]
        deeds |= DEEDS.table("more_deeds")
    drawn_things = rng.sample(things, count)
    days = rng.sample(VALUES["days"], count)
    verbs = list(deeds.items())
    return [
        Event(names[i], *rng.choice(verbs), drawn_things[i], towns[i], days[i])
        for i in range(count)
    ]


def _draw_details(rng: random.Random, for_exam: bool, count: int) -> list[str]:
    """Draw side details.

    Training details begin with many different nouns. Otherwise a model would take every capitalized
    first word for a name.
    """
    if for_exam:
        return rng.sample(_PATTERNS["exam_details"], count)
    side_detail = _PATTERNS.text("side_detail")
    patterns = [
        side_detail if rng.random() < 0.5 else pattern
        for pattern in rng.sample(_PATTERNS["details"], count)
    ]
    details = []
    for pattern in patterns:
        text = expand(pattern, rng)
        noun = rng.choice(_PATTERNS["side_nouns"])
        deed = rng.choice(_PATTERNS["side_deeds"])
        details.append(as_sentence(text.format(noun=noun, deed=deed)))
    return details


def draw_passage(rng: random.Random, for_exam: bool) -> tuple[list[Event], str]:
    """Draw two or three events and a text that reports them, sometimes with a side detail."""
    events = _draw_events(rng, for_exam, rng.choice((2, 2, 3)))
    sentences = [event.report(rng, for_exam) for event in events]
    if rng.random() < 0.4:
        sentences.insert(rng.randint(0, len(sentences)), *_draw_details(rng, for_exam, 1))
    return events, " ".join(sentences)


def draw_report(rng: random.Random, for_exam: bool) -> tuple[Event, str]:
    """Draw one event and a text that reports it among two or three side details."""
    event = _draw_events(rng, for_exam, 1)[0]
    sentences = _draw_details(rng, for_exam, rng.choice((2, 3)))
    sentences.insert(rng.randint(0, len(sentences)), event.report(rng, for_exam))
    return event, " ".join(sentences)


def draw_answers(events: list[Event], rng: random.Random) -> str:
    """Draw three to five sentences that answer questions about a passage, for documents."""
    # Most answers are names. In the text, a name comes before its thing, town or day. A model
    # learns more slowly to copy a word before the clue than a word after it.
    names_by_clue = [_PATTERNS.text(f"answers.{clue}.name") for clue in ("thing", "town", "day")]
    by_name = _PATTERNS.table("answers.name").values()
    by_thing = _PATTERNS.table("answers.thing").values()
    patterns = (*by_name, *by_thing, *2 * names_by_clue)
    n_sentence = rng.randint(3, 5)
    sentences = [rng.choice(events).fill(rng.choice(patterns)) for _ in range(n_sentence)]
    return " ".join(dict.fromkeys(sentences))


@dataclass(frozen=True)
class _Question:
    event: Event
    asks_for: str
    """The field of the event that answers the question."""
    template: str

    @property
    def text(self) -> str:
        return self.event.fill(self.template)

    @property
    def answer(self) -> str:
        """A sentence that begins with the detail in the question and ends with the answer."""
        clue = next(name for name in _PATTERNS.names("answers") if f"{{{name}}}" in self.template)
        return self.event.fill(_PATTERNS.text(f"answers.{clue}.{self.asks_for}"))


def _draw_question(events: list[Event], rng: random.Random, for_exam: bool) -> _Question:
    event = rng.choice(events)
    asks_for = rng.choice(sorted(_PATTERNS.names("questions")))
    section = f"questions.{asks_for}"
    if for_exam:
        template = rng.choice(_PATTERNS[f"{section}.exam_questions"])
    elif rng.random() < 0.65:
        template = as_sentence(_PATTERNS.draw(f"{section}.questions", rng))
    else:
        template = _PATTERNS.request(f"{section}.clauses", rng)
    return _Question(event, asks_for, template)


def _draw_summary_request(rng: random.Random) -> str:
    kind = rng.choice(("questions", "actions", "clauses", "nouns"))
    if kind == "questions":
        # The phrase is empty; drawing it uses as many random numbers as the other kinds do.
        request = compose_request(_PATTERNS["summary.questions"], ("",), rng)
    else:
        request = compose_request(REQUEST_PATTERNS[kind], _PATTERNS[f"summary.{kind}"], rng)
    return expand(request.replace("{story}", _PATTERNS.text("story_word")), rng)


def draw_conversation(_table: FactTable, rng: random.Random) -> list[Message]:
    """Draw a summary, or one or two questions about a passage."""
    if rng.random() < _SUMMARY_SHARE:
        return _summary_conversation(rng)
    events, text = draw_passage(rng, for_exam=False)
    question = _draw_question(events, rng, for_exam=False)
    prompt = rng.choice(_PATTERNS["prompts"]).replace("{story}", _PATTERNS.text("story_word"))
    opening = expand(prompt, rng).format(text=text, question=question.text)
    turns = [user(opening), assistant(question.answer)]
    if rng.random() < 0.3:
        question = _draw_question(events, rng, for_exam=False)
        turns += [user(question.text), assistant(question.answer)]
    return turns


def _summary_conversation(rng: random.Random) -> list[Message]:
    event, text = draw_report(rng, for_exam=False)
    request = _draw_summary_request(rng)
    request_first = request[-1] == ":" or rng.random() < 0.5
    prompt = f"{request} {text}" if request_first else f"{text} {request}"
    return [user(prompt), assistant(event.summary)]


def draw_exam_item(_table: FactTable, rng: random.Random, skill: str) -> ExamItem:
    """Draw an item of `summary` or `passage_qa`."""
    return _summary_item(rng) if skill == "summary" else _question_item(rng)


def _summary_item(rng: random.Random) -> ExamItem:
    event, text = draw_report(rng, for_exam=True)
    template = rng.choice(_PATTERNS["summary.exam_questions"])
    return ExamItem(
        skill="summary",
        messages=(user(template.format(text=text)),),
        expected=assistant(event.summary),
        required=((event.name,), (event.past,), (event.thing,)),
        forbidden=_PATTERNS["exam_detail_words"],
        max_words=14,
        setting=OPEN_BOOK,
        template=template,
    )


def _question_item(rng: random.Random) -> ExamItem:
    events, text = draw_passage(rng, for_exam=True)
    question = _draw_question(events, rng, for_exam=True)
    prompt = rng.choice(_PATTERNS["exam_prompts"]).format(text=text, question=question.text)
    others = [event for event in events if event is not question.event]
    return ExamItem(
        skill="passage_qa",
        messages=(user(prompt),),
        expected=assistant(question.answer),
        required=((str(getattr(question.event, question.asks_for)),),),
        forbidden=tuple(
            part for other in others for part in (other.name, other.thing, other.town, other.day)
        ),
        max_words=20,
        setting=OPEN_BOOK,
        template=question.template,
    )
