"""Score the replies of rows with the reward model in a directory."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from chatwright.conversation import Message
from chatwright.data.readers.record import Record
from chatwright.data.readers.row_shapes import to_row
from chatwright.data.rows import (
    ChatRow,
    CorrectionRow,
    DataError,
    Location,
    PreferenceRow,
    RankedRow,
    Row,
    ThumbRow,
)
from chatwright.pipeline.load_reward_model import load_reward_model
from chatwright.tokenizer.tool_call_text import message_text

ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class ScoredReply:
    """A reply with its score."""

    location: Location
    reply: str
    score: float
    """In standard deviations from the mean of the model's validation data."""


def score_rows(
    directory: Path, rows: Iterable[Row], is_live: bool = False
) -> Iterator[ScoredReply | None]:
    """Yield the score of every reply of every row in order; None for a row without a reply.

    Args:
        directory: A model directory or a training run.
        rows: The rows.
        is_live: Score each row before the next one is read, as for a pipe.

    Raises:
        InputError: The directory holds no reward model, or a conversation is too long for it.
    """
    model = load_reward_model(directory)
    remaining = iter(rows)
    while chunk := list(islice(remaining, 1 if is_live else ROWS_AT_ONCE)):
        conversations = [conversations_of(row) for row in chunk]
        flat = [conversation for its in conversations for conversation in its]
        scores = iter(model.scores(flat))
        for row, its in zip(chunk, conversations, strict=True):
            for conversation in its:
                text = message_text(conversation[-1])
                yield ScoredReply(row.location, text, next(scores))
            if not its:
                yield None


def conversations_of(row: Row) -> list[tuple[Message, ...]]:
    """Return a conversation for each reply of a row; none for rows of texts."""
    if isinstance(row, ChatRow):
        is_reply = row.messages[-1].role == "assistant"
        return [row.messages] if is_reply else []
    if isinstance(row, ThumbRow):
        return [(*row.prompt, *row.reply)]
    if isinstance(row, CorrectionRow):
        return [(*row.prompt, *ending) for ending in (row.reply, row.better)]
    if isinstance(row, PreferenceRow):
        return [(*row.prompt, *ending) for ending in (row.chosen, row.rejected)]
    if isinstance(row, RankedRow):
        return [(*row.prompt, *ending) for ending in row.endings]
    return []


def rows_of_lines(lines: Iterable[str]) -> Iterator[Row]:
    """Yield the row in each line of JSON; empty lines are left out. Raises DataError."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        location = Location("standard input", number)
        try:
            values = json.loads(line)
        except ValueError:
            raise DataError(
                location, "this line is not JSON", "write one JSON object per line"
            ) from None
        yield to_row(Record(values, location))
