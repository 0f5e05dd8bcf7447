"""Leave out the prompts that are in the training data: a win on them would mean nothing.

A prompt overlaps if a training conversation contains it, ignoring case, punctuation and system
messages, or if both share a run of 13 words (`data/checks/contamination.py`).
"""

from collections.abc import Iterator, Sequence

from chatwright.conversation import Message
from chatwright.data.checks.contamination import N_WORDS, HeldOutIndex
from chatwright.data.checks.plain_text import words
from chatwright.data.readers.data_source import DataSource
from chatwright.data.readers.row_reader import read_rows
from chatwright.data.rows import (
    ChatRow,
    CorrectionRow,
    DataError,
    PreferenceRow,
    PromptRow,
    RankedRow,
    Row,
    ThumbRow,
)


def without_training_prompts(
    prompts: Sequence[PromptRow], training: DataSource
) -> tuple[list[PromptRow], list[PromptRow]]:
    """Return (prompts that are new, prompts that overlap with the training data)."""
    skipped: list[DataError] = []
    rows = list(read_rows(training, skipped=skipped))
    starts = {start for row in rows for start in _prompts_of(row)}
    index = HeldOutIndex(rows, N_WORDS)
    new: list[PromptRow] = []
    overlapping: list[PromptRow] = []
    for prompt in prompts:
        is_known = tuple(words(prompt)) in starts or index.overlap(prompt) is not None
        (overlapping if is_known else new).append(prompt)
    return new, overlapping


def _prompts_of(row: Row) -> Iterator[tuple[str, ...]]:
    """Yield the words of each beginning of a conversation that ends before a reply."""
    if isinstance(row, ChatRow):
        for end, message in enumerate(row.messages):
            if message.role == "assistant":
                yield _words(row.messages[:end], row)
    elif isinstance(row, PromptRow):
        yield _words(row.messages, row)
    elif isinstance(row, PreferenceRow | RankedRow | ThumbRow | CorrectionRow):
        yield _words(row.prompt, row)


def _words(messages: tuple[Message, ...], row: Row) -> tuple[str, ...]:
    return tuple(words(PromptRow(messages, row.location)))
