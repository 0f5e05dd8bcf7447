"""What a data file is made of: rows with a place, and the error that names the place.

Three kinds of row serve three stages: text (pretraining), chat (fine-tuning), preference (reward model, DPO).
"""

from __future__ import annotations

from dataclasses import dataclass

from chatwright.conversation import Message


@dataclass(frozen=True)
class Location:
    file: str
    number: int | None = None  # counted from 1; None when the whole file is meant
    unit: str = "line"  # "row" in a JSON array or parquet file, where lines mean nothing

    def __str__(self) -> str:
        # A file's name may hold anything.
        file = "".join(
            c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode()
            for c in self.file
        )
        return file if self.number is None else f"{file}, {self.unit} {self.number}"


@dataclass(frozen=True)
class TextRow:
    text: str
    location: Location


@dataclass(frozen=True)
class ChatRow:
    """A conversation of training data."""

    messages: tuple[Message, ...]
    location: Location
    learned: tuple[bool, ...] = ()
    """One flag per message; False marks an answer that is shown and not learned.

    An empty tuple means that every answer is learned.
    """


@dataclass(frozen=True)
class PreferenceRow:
    """Two endings of one conversation: `prompt + chosen` is better than `prompt + rejected`."""

    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]
    location: Location


Row = TextRow | ChatRow | PreferenceRow


class DataError(ValueError):
    """Something in a data file that a person can mend. It never carries the file's text."""

    def __init__(self, location: Location, cause: str, remedy: str) -> None:
        super().__init__(f"{location}: {cause}. {remedy[:1].upper()}{remedy[1:]}")
        self.location = location
        self.cause = cause
        self.remedy = remedy


class UnsupportedFile(DataError):
    """A file of a kind that no reader knows. In a folder it may be left out, but never without saying so."""
