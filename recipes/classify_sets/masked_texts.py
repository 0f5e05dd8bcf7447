"""Texts for masked-language pretraining, by domain."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from chat_real_sets import conversations, prose, trivia

from classify_sets.tasks import one_line, read_member

FILM_SENTENCES = (
    "sentence_polarity/rt-polarity.neg",
    "sentence_polarity/rt-polarity.pos",
    "subjectivity/plot.tok.gt9.5000",
    "subjectivity/quote.tok.gt9.5000",
)
"""Files with a sentence about a film per line, in the zip archives of their folder's name."""


def film_sentences(data: Path) -> Iterator[str]:
    """Yield sentences from film reviews and plots."""
    for member in FILM_SENTENCES:
        archive = data / "nltk-corpora" / f"{member.split('/')[0]}.zip"
        for line in read_member(archive, member).decode("latin-1").splitlines():
            yield one_line(line)


def trivia_questions(data: Path) -> Iterator[str]:
    """Yield trivia questions."""
    for question, _, _ in trivia.trivia(data, Counter()):
        yield question


def dialogue_turns(data: Path) -> Iterator[str]:
    """Yield everyday speech, one turn at a time."""
    for text in conversations.plain_dialogues(data, Counter()):
        yield from (line.split(": ", 1)[-1] for line in text.split("\n") if line.strip())


def books(data: Path) -> Iterator[str]:
    """Yield chapters of books."""
    yield from prose.classic_books(data, Counter())


MASKED: dict[str, tuple[tuple[str, ...], dict[str, Callable[[Path], Iterator[str]]]]] = {
    "films": (("sentiment", "reviews"), {"film-sentences": film_sentences}),
    "questions": (("topics",), {"trivia": trivia_questions}),
    "messages": (("spam",), {"dialogues": dialogue_turns}),
    "general": ((), {"books": books}),
}
"""For each domain, the tasks whose training texts belong to it, and further sets."""
