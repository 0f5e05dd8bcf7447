"""Feedback from the preferences of other tools: pairs, rankings, thumbs and corrections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from chatwright.conversation import Message
from chatwright.data.preferences import Correction, Feedback, Ranking, RatedReply, Thumb
from chatwright.data.readers.data_source import DEFAULTS, ReadOptions
from chatwright.data.readers.problems import describe_skipped
from chatwright.data.readers.row_reader import read_rows
from chatwright.data.rows import (
    CorrectionRow,
    DataError,
    Location,
    PreferenceRow,
    RankedRow,
    Row,
    ThumbRow,
)


@dataclass(frozen=True)
class Imported:
    """Feedback of a file, and what was left out."""

    feedback: tuple[Feedback, ...]
    n_ignored: int
    """Rows of other kinds, such as conversations."""
    n_several_turns: int
    """Rows with a reply of several turns, such as a tool call with its result: left out."""
    skipped: tuple[str, ...]
    """Files and rows that cannot be read, one line per reason."""


def import_feedback(
    path: Path, rater: str, time: datetime, options: ReadOptions = DEFAULTS
) -> Imported:
    """Read preferences as feedback of `rater`, given at `time`. A rater that a row names stays.

    Raises DataError if there is none.
    """
    skipped: list[DataError] = []
    feedback: list[Feedback] = []
    n_ignored = 0
    n_several_turns = 0
    for row in read_rows(path, options, skipped):
        if not isinstance(row, PreferenceRow | RankedRow | ThumbRow | CorrectionRow):
            n_ignored += 1
        elif (item := to_feedback(row, rater, time)) is None:
            n_several_turns += 1
        else:
            feedback.append(item)
    if not feedback:
        raise DataError(
            Location(str(path)),
            f"no preferences among its {n_ignored + n_several_turns} rows",
            "give rows with prompt, chosen and rejected, or with prompt, completion and a label "
            "true or false",
        )
    return Imported(tuple(feedback), n_ignored, n_several_turns, describe_skipped(skipped))


def to_feedback(row: Row, rater: str, time: datetime) -> Feedback | None:
    """Return a row as feedback; None if a reply has several turns."""
    if isinstance(row, PreferenceRow):
        return _ranking(row.prompt, (row.chosen, row.rejected), (1, 2), rater, time)
    if isinstance(row, RankedRow):
        return _ranking(row.prompt, row.endings, row.ranks, row.rater or rater, time)
    assert isinstance(row, ThumbRow | CorrectionRow)
    if len(row.reply) > 1:
        return None
    reply = RatedReply(row.reply[0])
    if isinstance(row, ThumbRow):
        return Thumb(prompt=row.prompt, rater=rater, time=time, reply=reply, is_up=row.is_good)
    rater = row.rater or rater
    return Correction(prompt=row.prompt, rater=rater, time=time, reply=reply, better=row.better[0])


def _ranking(
    prompt: tuple[Message, ...],
    endings: Sequence[tuple[Message, ...]],
    ranks: tuple[int, ...],
    rater: str,
    time: datetime,
) -> Ranking | None:
    if any(len(ending) > 1 for ending in endings):
        return None
    replies = tuple(RatedReply(ending[0]) for ending in endings)
    return Ranking(prompt=prompt, rater=rater, time=time, replies=replies, ranks=ranks)
