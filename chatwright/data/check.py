"""Look through a file or folder and report everything that training would stumble over, all at once.

Each problem says file, line, reason and fix, and never the text itself. Duplicates are reported but are not errors: a set
may repeat on purpose. Memory grows with the number of rows (a hash each), not with their size.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chatwright.data.deduplication import Duplicate, DuplicateFinder
from chatwright.data.plain_text import conversation_of
from chatwright.data.readers import scan_rows
from chatwright.data.rows import ChatRow, DataError, Location, PreferenceRow, Row, TextRow
from chatwright.tokenizer.chat_format import turn_kind
from chatwright.tokenizer.tool_call_text import message_text

N_LONGEST = 5
SHOWN_PER_FILE = 10
KINDS: dict[type, str] = {TextRow: "text", ChatRow: "conversation", PreferenceRow: "preference"}


@dataclass(frozen=True)
class Problem:
    location: Location
    reason: str
    fix: str


@dataclass(frozen=True)
class LongRow:
    location: Location
    n_characters: int


@dataclass(frozen=True)
class Report:
    path: str
    n_rows: dict[str, int]  # by kind of row
    n_characters: dict[str, int]
    n_turns: dict[str, int]  # by role
    problems: list[Problem]
    duplicates: list[Duplicate]
    longest: list[LongRow]
    looked_for_near_duplicates: bool

    @property
    def is_ok(self) -> bool:
        return not self.problems and sum(self.n_rows.values()) > 0


def check(path: Path, near: float | None = None) -> Report:
    """Read everything; stop at nothing. `near` also looks for near-duplicates (0.8 is usual), about a millisecond a row."""
    rows: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    turns: Counter[str] = Counter()
    problems: list[Problem] = []
    duplicates: list[Duplicate] = []
    longest: list[
        tuple[int, int, Location]
    ] = []  # the second number settles ties: the earlier row stays
    finder = DuplicateFinder(near)
    for item in scan_rows(path):
        if isinstance(item, DataError):
            problems.append(Problem(item.location, item.cause, item.remedy))
            continue
        kind, length = KINDS[type(item)], length_of(item)
        rows[kind] += 1
        characters[kind] += length
        if not isinstance(item, TextRow):
            turns.update(turn_kind(message) for message in conversation_of(item))
        duplicate = finder.find(item)
        if duplicate is not None:
            duplicates.append(duplicate)
        heapq.heappush(longest, (length, -rows.total(), item.location))
        if len(longest) > N_LONGEST:
            heapq.heappop(longest)
    return Report(
        path=str(path),
        n_rows=dict(rows),
        n_characters=dict(characters),
        n_turns=dict(turns),
        problems=problems,
        duplicates=duplicates,
        longest=[
            LongRow(location, length) for length, _, location in sorted(longest, reverse=True)
        ],
        looked_for_near_duplicates=near is not None,
    )


def length_of(row: Row) -> int:
    return (
        len(row.text)
        if isinstance(row, TextRow)
        else sum(len(message_text(message)) for message in conversation_of(row))
    )


def format_report(report: Report) -> str:
    """For a terminal: what is there, what is wrong and how to mend it."""
    lines = [report.path]
    for kind, count in sorted(report.n_rows.items()):
        lines.append(
            f"  {count:,} {kind} {'row' if count == 1 else 'rows'}, {report.n_characters[kind]:,} characters"
        )
    if not report.n_rows:
        lines.append("  no rows that can be used")
    if report.n_turns:
        lines.append(
            "  turns: "
            + ", ".join(f"{count:,} {role}" for role, count in sorted(report.n_turns.items()))
        )
    if report.longest:
        lines.append(
            "  longest: "
            + "; ".join(
                f"{row.n_characters:,} characters in {row.location}" for row in report.longest[:1]
            )
        )
    lines += duplicate_lines(report)
    if not report.problems:
        lines.append("no problems" if report.n_rows else "nothing to train on")
        return "\n".join(lines)
    lines += [
        "",
        f"{len(report.problems):,} {'problem' if len(report.problems) == 1 else 'problems'}",
    ]
    per_file: Counter[str] = Counter()
    for problem in report.problems:
        per_file[problem.location.file] += 1
        if per_file[problem.location.file] <= SHOWN_PER_FILE:
            lines += [
                f"  {problem.location}",
                f"      {problem.reason}",
                f"      fix: {problem.fix}",
            ]
    for file, count in per_file.items():
        if count > SHOWN_PER_FILE:
            lines.append(
                f"  {file}: {count - SHOWN_PER_FILE:,} more like these or others; the JSON report lists all"
            )
    return "\n".join(lines)


def duplicate_lines(report: Report) -> list[str]:
    n_exact = sum(duplicate.is_exact for duplicate in report.duplicates)
    n_near = len(report.duplicates) - n_exact
    if not report.duplicates:
        return [
            "  no row repeats another"
            if report.looked_for_near_duplicates
            else "  no row is an exact copy of another"
        ]
    near = f", {n_near:,} nearly repeat one" if report.looked_for_near_duplicates else ""
    first = report.duplicates[0]
    return [
        f"  {n_exact:,} rows repeat an earlier row{near} (the first: {first.location}, which repeats {first.of})"
    ]


def to_json(report: Report) -> str:
    document: dict[str, Any] = {"is_ok": report.is_ok, **asdict(report)}
    return json.dumps(document, ensure_ascii=False, indent=2)
