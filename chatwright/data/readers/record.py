"""Records of tables: values by column name, not yet converted to a kind of row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chatwright.data.rows import Location

COLUMN_NAMES = frozenset(
    (
        *("text", "label", "source", "target", "messages", "conversations", "prompt", "completion"),
        *("chosen", "rejected", "instruction", "input", "context", "output", "response"),
        *("history", "system"),
        *("answer", "kind"),
        *("anchor", "positive", "negative", "sentence1", "sentence2", "score"),
    )
)
"""Every column name that some kind of row reads."""
HEADERS = (
    {"text"},
    {"messages"},
    {"conversations"},
    {"prompt", "completion"},
    {"chosen", "rejected"},
    {"prompt", "answer"},
    {"instruction", "output"},
    {"instruction", "response"},
    {"source", "target"},
    {"anchor", "positive"},
    {"sentence1", "sentence2", "score"},
)
"""The first line of a file is a header if it holds all names of one of these sets."""


@dataclass(frozen=True)
class Record:
    """One row of a table."""

    values: Any
    """A mapping from column names to values; in JSON files possibly another value."""
    location: Location
    has_header: bool = True
    """False if the columns are only numbered: "1", "2" and so on."""

    def renamed(self, columns: Mapping[str, str]) -> Record:
        """Return the record with columns renamed; a renamed column replaces one of that name."""
        if not columns or not isinstance(self.values, Mapping):
            return self
        targets = set(columns.values())
        kept = {
            name: value
            for name, value in self.values.items()
            if name not in columns and name not in targets
        }
        renamed = {columns[name]: value for name, value in self.values.items() if name in columns}
        has_header = self.has_header or bool(renamed)
        return Record(kept | renamed, self.location, has_header)
