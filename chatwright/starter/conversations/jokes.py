"""Jokes with a slot for any topic, so that a new topic gives a new joke.

A third of the topics is held out for the exam, the evaluation set. No training joke is about them,
but training documents may name them. `is_training_joke` recognizes every possible training joke.
"""

import random
import re
from functools import cache

from chatwright.conversation import Message
from chatwright.starter.data_file import DataFile
from chatwright.starter.exam_item import ExamItem
from chatwright.starter.fact_table import FactTable
from chatwright.starter.invented_names import invent_person_name
from chatwright.starter.messages import assistant, user
from chatwright.starter.phrasing import as_sentence, capitalize_first, with_article
from chatwright.starter.split import is_held_out
from chatwright.starter.word_lists import ANIMALS, THINGS, VALUES

SKILLS = ("joke",)
_PATTERNS = DataFile("patterns/jokes.toml")
_HELD_OUT_ONE_IN = 3
JOKES = _PATTERNS["jokes"]


def _topics() -> list[str]:
    """Return all nouns that no joke pattern contains, sorted."""
    nouns = {*ANIMALS.names(), *VALUES["pets"], *VALUES["jobs"], *THINGS["objects"]}
    return sorted({*nouns, *_PATTERNS["topics"]} - _words_of_jokes())


def _words_of_jokes() -> set[str]:
    return {word.strip("?!,.").lower() for joke in JOKES for word in joke.split()}


TOPICS = tuple(_topics())
_EXAM_TOPICS = tuple(topic for topic in TOPICS if is_held_out(topic, _HELD_OUT_ONE_IN))
_TRAINING_TOPICS = tuple(
    topic
    for topic in sorted({*TOPICS, *THINGS["more_objects"]} - _words_of_jokes())
    if not is_held_out(topic, _HELD_OUT_ONE_IN)
)


def fill_joke(joke: str, topic: str) -> str:
    """Put a topic into a joke, with the right article."""
    for article in ("A", "a"):
        joke = joke.replace(f"{article} {{t}}", with_article(topic).replace("a", article, 1))
    return joke.format(t=topic)


def _draw_joke(rng: random.Random, for_exam: bool) -> tuple[str, str]:
    """Draw a topic and a joke about it."""
    topic = rng.choice(_EXAM_TOPICS) if for_exam else _draw_training_topic(rng)
    return topic, fill_joke(JOKES[rng.randrange(len(JOKES))], topic)


def _draw_training_topic(rng: random.Random) -> str:
    """Draw a topic, sometimes an invented word, so that the model learns to copy any topic."""
    if rng.random() < 0.7:
        return rng.choice(_TRAINING_TOPICS)
    return invent_person_name(rng, for_exam=False).lower()


def letters_only(text: str) -> str:
    """Return lower-case words without punctuation, to find copies with other punctuation."""
    letters = "".join(char if char.isalpha() else " " for char in text.lower())
    return " ".join(letters.split())


@cache
def _joke_patterns() -> tuple[re.Pattern[str], ...]:
    """Return a regular expression for every joke; its first group matches the topic."""
    topic = "topic"
    texts = (
        letters_only(fill_joke(joke, topic)).replace(f"a {topic}", f"an? {topic}") for joke in JOKES
    )
    return tuple(
        re.compile(text.replace(topic, r"(\w+)", 1).replace(topic, r"\1")) for text in texts
    )


def is_training_joke(text: str) -> bool:
    """Whether training can contain this joke: a joke pattern with a topic not held out."""
    words = letters_only(text)
    matches = (pattern.fullmatch(words) for pattern in _joke_patterns())
    return any(match[1] not in _EXAM_TOPICS for match in matches if match)


def draw_conversation(_table: FactTable, rng: random.Random) -> list[Message]:
    """Draw a request for a joke, mostly with a topic, sometimes followed by another one."""
    topic, joke = _draw_joke(rng, for_exam=False)
    if rng.random() < 0.15:
        request = as_sentence(_PATTERNS.draw("without_topic", rng))
    else:
        noun = with_article(topic)
        request = _draw_request(rng).format(a=noun, A=capitalize_first(noun))
    turns = [user(request), assistant(joke)]
    if rng.random() < 0.1:
        again = as_sentence(_PATTERNS.draw("again", rng))
        turns += [user(again), assistant(_draw_joke(rng, for_exam=False)[1])]
    return turns


def _draw_request(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return _PATTERNS.draw("questions", rng)
    return _PATTERNS.request(rng.choice(("actions", "nouns")), rng)


def draw_exam_item(_table: FactTable, rng: random.Random, skill: str) -> ExamItem:
    """Draw a request for a joke about an exam topic."""
    topic, joke = _draw_joke(rng, for_exam=True)
    template = rng.choice(_PATTERNS["exam_questions"])
    other_topics = (other for other in TOPICS if other != topic)
    return ExamItem(
        skill=skill,
        messages=(user(template.format(a=with_article(topic))),),
        expected=assistant(joke),
        required=((topic,),),
        forbidden=(*other_topics, "do not know", "cannot help"),
        max_words=30,
        check="joke",
        template=template,
    )
