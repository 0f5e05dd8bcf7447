"""Trivia questions: as documents for pretraining, and as conversations."""

import re
from collections.abc import Iterator
from pathlib import Path

from chat_real_sets.cleaning import (
    BROKEN,
    OFFENSIVE,
    Dropped,
    Turn,
    clean,
    dialogue,
    evenly,
    finish,
    n_word,
)
from chat_real_sets.files import tar_texts

NEEDS_CHOICES = re.compile(
    r"\b(which of|one of (?:the|this)|following|NOT|not|except|EXCEPT|these|spot|true|false|listed"
    r"|below)\b"
)
"""A question that can be answered only with its choices in view."""
QUESTIONS_PER_DOCUMENT = 25
MAX_CHATS = 6_000


def trivia(data: Path, dropped: Dropped) -> Iterator[tuple[str, str, list[str]]]:
    """Yield (question, right answer, choices), each question once."""
    seen: set[str] = set()
    for _, text in tar_texts(data / "open-trivia-qa" / "categories.tar.xz"):
        for block in re.split(r"^#Q ", text, flags=re.MULTILINE)[1:]:
            question, answer, choices = _parsed(block)
            if not answer or answer not in choices:
                dropped["no right answer given"] += 1
            elif BROKEN.search(block) or re.search(r"\b\w+\?\w+\b", question):
                dropped["broken characters"] += 1
            elif OFFENSIVE.search(block):
                dropped["offensive word"] += 1
            elif question.lower() in seen:
                dropped["duplicate question"] += 1
            else:
                seen.add(question.lower())
                yield question, answer, choices


def _parsed(block: str) -> tuple[str, str, list[str]]:
    """The question, the answer ("" if there is none) and the choices of a block."""
    head, _, rest = block.partition("\n^")
    answer, _, options = rest.partition("\n")
    choices = [clean(option[2:]) for option in options.splitlines() if re.match(r"[A-D] ", option)]
    return clean(head).replace("\n", " "), clean(answer), choices


def trivia_prose(data: Path, dropped: Dropped) -> Iterator[str]:
    """Yield documents of QUESTIONS_PER_DOCUMENT questions with their answers."""
    lines: list[str] = []
    for question, answer, choices in trivia(data, dropped):
        if NEEDS_CHOICES.search(question):
            question += f" {', '.join(choices[:-1])} or {choices[-1]}?"
        lines.append(f"Question: {question}\nAnswer: {finish(answer)}")
        if len(lines) == QUESTIONS_PER_DOCUMENT:
            yield "\n\n".join(lines)
            lines = []
    if lines:
        yield "\n\n".join(lines)


def trivia_chat(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """Yield questions of all categories, some with the choices, always where they are needed."""
    kept = [row for row in trivia(data, dropped) if n_word(row[0]) >= 4]
    for i, (question, answer, choices) in enumerate(evenly(kept, MAX_CHATS)):
        if answer.lower() in ("true", "false", "yes", "no"):
            if not question.endswith("?"):
                question += f" {' or '.join(choices)}?"
            yield dialogue(question, finish(answer))
        elif NEEDS_CHOICES.search(question) or i % 4 == 0:
            listed = "\n".join(f"- {choice}" for choice in choices)
            yield dialogue(f"{question}\n{listed}", finish(answer))
        else:
            reply = finish(answer) if i % 2 else f"The answer is {answer.rstrip('.')}."
            yield dialogue(question, reply)
