"""Pairs of texts from records: texts that belong together, and texts with a score.

A record of a file without a header, such as a word list with tabs, has only numbered columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chatwright.data.readers.record import Record
from chatwright.data.readers.values import (
    RENAME,
    require_columns,
    require_filled,
    require_number,
    require_string,
)
from chatwright.data.rows import DataError, Location, ScoredPair, TextPair

FILL = "fill it or remove the row"


def to_text_pair(record: Record) -> TextPair:
    """Return the texts of a record, without white space around them. Raises DataError.

    A negative that is missing, null or blank is none. Without a header, the first two columns are
    anchor and positive: further columns may be anything.
    """
    names = ("anchor", "positive")
    values = _named(record, names, "name the columns anchor and positive, and optionally negative")
    anchor, positive = _texts(values, names, record.location)
    if values.get("negative") is None:
        return TextPair(anchor, positive, record.location)
    negative = require_string(values["negative"], "negative", record.location).strip()
    return TextPair(anchor, positive, record.location, negative or None)


def to_scored_pair(record: Record) -> ScoredPair:
    """Return two texts and their score, from the first three columns if there is no header.

    Raises DataError.
    """
    names = ("sentence1", "sentence2", "score")
    values = _named(record, names, "name the columns sentence1, sentence2 and score")
    first, second = _texts(values, names[:2], record.location)
    score = require_number(values["score"], "score", record.location)
    return ScoredPair(first, second, score, record.location)


def _named(record: Record, names: Sequence[str], remedy: str) -> Mapping[str, Any]:
    """Return the values by name; numbered columns get the names in their order."""
    if record.has_header:
        return require_columns(record, names, f"{remedy}; {RENAME}")
    values: list[Any] = list(record.values.values())
    if len(values) < len(names):
        raise DataError(
            record.location,
            f"the line has {len(values)} column(s), and {len(names)} are needed",
            f"put tabs between {', '.join(names)}, or begin the file with a line of their names",
            field="columns",
        )
    return dict(zip(names, values, strict=False))


def _texts(values: Mapping[str, Any], names: Sequence[str], location: Location) -> list[str]:
    texts = {name: require_string(values[name], name, location).strip() for name in names}
    require_filled(texts, FILL, location)
    return list(texts.values())
