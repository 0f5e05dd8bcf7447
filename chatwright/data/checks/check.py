"""Check a file or folder and report all errors at which training would stop.

Each problem gives file, line, reason and fix, but never the text itself. Duplicates are reported,
but are not problems: a data set may repeat rows on purpose. Memory grows with the number of rows (a
hash each), not with their size.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from chatwright.data.checks.deduplication import Duplicate, DuplicateFinder
from chatwright.data.checks.plain_text import ConversationRow, messages_of, texts_of
from chatwright.data.encoded.conversations import has_learned_answer
from chatwright.data.readers.data_source import DEFAULTS, ReadOptions
from chatwright.data.readers.row_reader import scan_rows
from chatwright.data.rows import (
    ChatRow,
    CorrectionRow,
    DataError,
    Location,
    PreferenceRow,
    PromptRow,
    RankedRow,
    Row,
    ScoredPair,
    SentencePair,
    TextPair,
    TextRow,
    ThumbRow,
    UnsupportedFile,
)
from chatwright.tokenizer.chat_format import turn_kind

N_LONGEST = 5
"""Number of the longest rows that a report lists."""
DOMINANT_SHARE = 0.9
"""A file with more than this share of the text gets a warning, if there are other files."""
KINDS: dict[type, str] = {
    TextRow: "text",
    ChatRow: "conversation",
    PreferenceRow: "preference",
    PromptRow: "prompt",
    RankedRow: "ranking",
    ThumbRow: "thumb",
    CorrectionRow: "correction",
    SentencePair: "sentence pair",
    TextPair: "text pair",
    ScoredPair: "scored pair",
}


@dataclass(frozen=True)
class Problem:
    """An error at which training would stop."""

    location: Location
    reason: str
    fix: str


@dataclass(frozen=True)
class LongRow:
    """A row and its length."""

    location: Location
    n_characters: int


@dataclass
class Report:
    """Counts and problems of a file or folder."""

    path: str
    n_rows: Counter[str] = field(default_factory=Counter)
    """Number of rows by kind of row: "text", "conversation", "preference", "sentence pair"."""
    n_characters: Counter[str] = field(default_factory=Counter)
    """Number of characters by kind of row."""
    n_turns: Counter[str] = field(default_factory=Counter)
    """Number of turns by kind of turn."""
    n_labels: Counter[str] = field(default_factory=Counter)
    """Number of text rows by label, for those that have one."""
    n_not_learned: int = 0
    """Conversations in which no answer is to be learned."""
    n_files_not_read: Counter[str] = field(default_factory=Counter)
    """Number of files that are not read, by the ending of their names."""
    n_characters_by_file: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    duplicates: list[Duplicate] = field(default_factory=list)
    longest: list[LongRow] = field(default_factory=list)
    looked_for_near_duplicates: bool = False

    @property
    def is_ok(self) -> bool:
        """Whether training can read everything, and there is something to read."""
        return not self.problems and self.n_rows.total() > 0

    @property
    def warnings(self) -> list[str]:
        """Warnings about data that training can read but that you may not want."""
        warnings = []
        if len(self.n_characters_by_file) > 1:
            [(file, n_largest)] = self.n_characters_by_file.most_common(1)
            share = n_largest / max(self.n_characters_by_file.total(), 1)
            if share > DOMINANT_SHARE:
                warnings.append(
                    f"{100 * share:.1f} % of the text is in one file, {Location(file)}: a model "
                    "learns almost only this file. Shorten it, or train without it."
                )
        if self.n_not_learned:
            warnings.append(
                f"{self.n_not_learned:,} conversations have no answer to be learned (weight, train "
                "or loss says so): fine-tuning leaves them out."
            )
        return warnings


def check(path: Path, near: float | None = None, options: ReadOptions = DEFAULTS) -> Report:
    """Read everything at `path` and return the report.

    `near` is the threshold for near-duplicates (`DuplicateFinder`), about a millisecond a row. None
    looks for exact duplicates only.
    """
    report = Report(str(path), looked_for_near_duplicates=near is not None)
    finder = DuplicateFinder(near)
    # A heap of (length, -number, location). Of rows of equal length, the earlier one is kept.
    longest: list[tuple[int, int, Location]] = []
    for item in scan_rows(path, options):
        if isinstance(item, DataError):
            _count_error(report, item)
            continue
        length = _count_row(report, item)
        duplicate = finder.find(item)
        if duplicate is not None:
            report.duplicates.append(duplicate)
        heapq.heappush(longest, (length, -report.n_rows.total(), item.location))
        if len(longest) > N_LONGEST:
            heapq.heappop(longest)
    report.longest += [LongRow(location, n) for n, _, location in sorted(longest, reverse=True)]
    return report


def _count_error(report: Report, error: DataError) -> None:
    report.problems.append(Problem(error.location, error.cause, error.advice))
    if isinstance(error, UnsupportedFile):
        ending = Path(error.location.file).suffix.lower()
        report.n_files_not_read[ending or "without an ending"] += 1


def _count_row(report: Report, row: Row) -> int:
    """Add a row to the counts and return its number of characters."""
    kind = KINDS[type(row)]
    length = sum(len(text) for _, text in texts_of(row))
    report.n_rows[kind] += 1
    report.n_characters[kind] += length
    report.n_characters_by_file[row.location.file] += length
    if isinstance(row, ConversationRow):
        report.n_turns.update(turn_kind(message) for message in messages_of(row))
    if isinstance(row, ChatRow):
        report.n_not_learned += not has_learned_answer(row)
    if isinstance(row, TextRow) and row.label is not None:
        report.n_labels[row.label] += 1
    return length
