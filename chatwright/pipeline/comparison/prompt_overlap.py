"""Leave out the prompts that are in the training data: a win on them would mean nothing.

A prompt overlaps if a training conversation begins with it, ignoring case, white space and system
messages, or if both share a run of 13 words (`data/checks/contamination.py`).
"""

from collections.abc import Iterator, Sequence

from chatwright.conversation import Message
from chatwright.data.checks.contamination import N_WORDS, HeldOutIndex
from chatwright.data.checks.plain_text import normalized
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
from chatwright.tokenizer.tool_call_text import message_text

Texts = tuple[str, ...]
"""The normalized texts of a conversation without its system messages."""


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
        is_known = _texts(prompt.messages) in starts or index.overlap(prompt) is not None
        (overlapping if is_known else new).append(prompt)
    return new, overlapping


def _prompts_of(row: Row) -> Iterator[Texts]:
    """Yield the texts of each beginning of a conversation that ends before a reply."""
    if isinstance(row, ChatRow):
        for end, message in enumerate(row.messages):
            if message.role == "assistant":
                yield _texts(row.messages[:end])
    elif isinstance(row, PromptRow):
        yield _texts(row.messages)
    elif isinstance(row, PreferenceRow | RankedRow | ThumbRow | CorrectionRow):
        yield _texts(row.prompt)


def _texts(messages: Sequence[Message]) -> Texts:
    return tuple(normalized(message_text(m)) for m in messages if m.role != "system")
