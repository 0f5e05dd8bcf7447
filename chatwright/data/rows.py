"""The rows of training data, with their locations, and the errors that name a location."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chatwright.conversation import Message
from chatwright.errors import InputError


@dataclass(frozen=True)
class Location:
    """Where a row is: a file, and a line or row in it."""

    file: str
    number: int | None = None
    """Counted from 1; None means the whole file."""
    unit: str = "line"
    """The word before the number; "row" in a JSON array or a parquet file."""

    def __str__(self) -> str:
        # A file name may hold control characters, which must not reach the terminal.
        file = "".join(
            c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode()
            for c in self.file
        )
        return file if self.number is None else f"{file}, {self.unit} {self.number}"


@dataclass(frozen=True)
class TextRow:
    """A text, for pretraining."""

    text: str
    location: Location
    label: str | None = None
    """The label, if the row has one; only the command `data check` reads it."""


@dataclass(frozen=True)
class ChatRow:
    """A conversation, for fine-tuning."""

    messages: tuple[Message, ...]
    location: Location
    learned: tuple[bool, ...] = ()
    """One flag per message; False marks an answer that is context but carries no loss.

    An empty tuple means that every answer is learned.
    """


@dataclass(frozen=True)
class PreferenceRow:
    """Two endings of one conversation: `prompt + chosen` is better than `prompt + rejected`."""

    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]
    location: Location

    def thumbs(self) -> list[ThumbRow]:
        """Return the chosen ending as a good reply and the rejected one as a bad reply."""
        return [
            ThumbRow(self.prompt, self.chosen, True, self.location),
            ThumbRow(self.prompt, self.rejected, False, self.location),
        ]


def ordered_pairs(ranks: Sequence[int]) -> list[tuple[int, int]]:
    """Return (better, worse) for every two indices with different ranks; rank 1 is the best."""
    indices = range(len(ranks))
    return [(a, b) for a in indices for b in indices if ranks[a] < ranks[b]]


@dataclass(frozen=True)
class RankedRow:
    """Two or more endings of one conversation, in the order in which a rater prefers them."""

    prompt: tuple[Message, ...]
    endings: tuple[tuple[Message, ...], ...]
    ranks: tuple[int, ...]
    """One rank per ending; 1 is the best, and equal ranks are a tie."""
    rater: str
    """Name of the rater; "" if it is not known."""
    location: Location

    def pairs(self) -> list[PreferenceRow]:
        """Return a pair for every two endings with different ranks; a tie has none."""
        return [
            PreferenceRow(self.prompt, self.endings[better], self.endings[worse], self.location)
            for better, worse in ordered_pairs(self.ranks)
        ]


@dataclass(frozen=True)
class ThumbRow:
    """A conversation whose last reply was judged good or bad."""

    prompt: tuple[Message, ...]
    reply: tuple[Message, ...]
    is_good: bool
    location: Location


@dataclass(frozen=True)
class CorrectionRow:
    """A reply to a conversation, and a better one, written by a rater."""

    prompt: tuple[Message, ...]
    reply: tuple[Message, ...]
    better: tuple[Message, ...]
    rater: str
    """Name of the person; "" if it is not known."""
    location: Location

    def ranking(self) -> RankedRow:
        """Return the ranking that prefers the better reply."""
        return RankedRow(self.prompt, (self.better, self.reply), (1, 2), self.rater, self.location)

    def conversation(self) -> ChatRow:
        """Return the conversation that ends with the better reply; only that reply is learned."""
        learned = (*(False for _ in self.prompt), *(True for _ in self.better))
        return ChatRow((*self.prompt, *self.better), self.location, learned)


@dataclass(frozen=True)
class PromptRow:
    """A conversation to which the model replies, for training on rewards."""

    messages: tuple[Message, ...]
    location: Location
    answer: str | None = None
    """The right answer, for rules that compare with it."""
    kind: str = ""
    """Name of the kind of task, for figures by kind."""


@dataclass(frozen=True)
class SentencePair:
    """A sentence and its translation."""

    source: str
    target: str
    location: Location


@dataclass(frozen=True)
class LabeledText:
    """A text and the name of its label, for classification."""

    text: str
    label: str
    location: Location


@dataclass(frozen=True)
class TextPair:
    """Two texts that belong together, for training vectors of texts."""

    anchor: str
    positive: str
    location: Location
    negative: str | None = None
    """A text that does not belong to the anchor."""


@dataclass(frozen=True)
class ScoredPair:
    """Two texts and a score of their similarity, for measuring vectors of texts."""

    first: str
    second: str
    score: float
    location: Location


Row = (
    TextRow
    | ChatRow
    | PreferenceRow
    | RankedRow
    | ThumbRow
    | PromptRow
    | CorrectionRow
    | SentencePair
    | TextPair
    | ScoredPair
)


class DataError(InputError):
    """An error in a data file. Its message never holds the text of the file.

    `field` is the column or setting that is wrong, or else the file.
    """

    def __init__(self, location: Location, cause: str, remedy: str, *, field: str = "") -> None:
        """Join the parts into a message. `cause` and `remedy` have no capital and no full stop."""
        super().__init__(
            f"{location}: {cause}.",
            remedy=f"{remedy[:1].upper()}{remedy[1:]}.",
            field=field or location.file,
        )
        self.location = location
        self.cause = cause
        self.advice = remedy  # `self.remedy` has a capital and a full stop


class UnsupportedFile(DataError):
    """A file whose format is not read. In a folder it may be left out, and is then reported."""

    def __init__(
        self, location: Location, cause: str, remedy: str, *, in_folder: bool = False
    ) -> None:
        """Set the message; `in_folder` is True if the user named a folder, not this file."""
        super().__init__(location, cause, remedy)
        self.in_folder = in_folder


class MissingColumns(DataError):
    """A row without the columns it needs. In a table, all further rows lack them too."""

    def __init__(
        self, location: Location, names: Iterable[str], remedy: str, *, cause: str = ""
    ) -> None:
        """Name the columns found; `cause` replaces the usual beginning of the message."""
        self.columns = [f"{name!a}"[:40] for name in names]
        listed = ", ".join(self.columns[:20]) or "none"
        super().__init__(
            location,
            f"{cause or 'no known shape fits the columns found'} ({listed})",
            remedy,
            field="columns",
        )
