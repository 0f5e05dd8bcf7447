"""The report of `data check`, as text for a terminal and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from chatwright.data.checks.check import Report
from chatwright.data.checks.show import printable
from chatwright.data.readers.problems import group_problems

MAX_LABELS = 20  # with more distinct values, they may be texts, which a report never holds


def format_report(report: Report) -> str:
    """Return the report for a terminal: what is there, what is wrong and how to correct it."""
    lines = [report.path, *_counts(report), *_duplicates(report)]
    lines += [f"  warning: {warning}" for warning in report.warnings]
    if report.problems:
        lines += ["", *_problems(report)]
    else:
        lines.append("no problems" if report.n_rows else "nothing to train on")
    return "\n".join(lines)


def _counts(report: Report) -> list[str]:
    lines = []
    for kind, count in sorted(report.n_rows.items()):
        n_characters = report.n_characters[kind]
        lines.append(f"  {count:,} {kind} {_plural('row', count)}, {n_characters:,} characters")
    if not report.n_rows:
        lines.append("  no rows that can be used")
    if report.n_turns:
        lines.append(f"  turns: {_listed(sorted(report.n_turns.items()))}")
    if report.n_labels:
        shown = _listed((printable(name)[:40], n) for name, n in _labels(report).items())
        lines.append(f"  {len(report.n_labels):,} labels{': ' if shown else ''}{shown}")
    for row in report.longest[:1]:
        lines.append(f"  longest: {row.n_characters:,} characters in {row.location}")
    if report.n_files_not_read:
        count = report.n_files_not_read.total()
        endings = _listed(report.n_files_not_read.most_common())
        lines.append(f"  not read: {count:,} {_plural('file', count)} ({endings})")
    return lines


def _labels(report: Report) -> dict[str, int]:
    return dict(report.n_labels.most_common()) if len(report.n_labels) <= MAX_LABELS else {}


def _duplicates(report: Report) -> list[str]:
    if not report.duplicates:
        near = report.looked_for_near_duplicates
        return [f"  no row {'repeats' if near else 'is an exact copy of'} another"]
    n_exact = sum(duplicate.is_exact for duplicate in report.duplicates)
    n_near = len(report.duplicates) - n_exact
    near_words = f", {n_near:,} nearly repeat one" if report.looked_for_near_duplicates else ""
    first = report.duplicates[0]
    return [
        f"  {n_exact:,} rows repeat an earlier row{near_words} "
        f"(the first: {first.location}, which repeats {first.of})"
    ]


def _problems(report: Report) -> Iterable[str]:
    """Yield an entry for each kind of problem, with its count and first locations."""
    count = len(report.problems)
    yield f"{count:,} {_plural('problem', count)}"
    for kind in group_problems((p.reason, p.fix, p.location) for p in report.problems):
        n = len(kind.locations)
        yield f"  {kind.cause}" + (f" ({n:,} times)" if n > 1 else "")
        yield f"      in {kind.first_locations()}"
        yield f"      fix: {kind.advice}"


def _listed(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts)


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"


def to_json(report: Report) -> str:
    """Return the whole report as JSON, with every problem."""
    document: dict[str, Any] = {"is_ok": report.is_ok, "warnings": report.warnings}
    document |= {name: _plain(value) for name, value in vars(report).items()}
    document["n_labels"] = _labels(report)
    return json.dumps(document, ensure_ascii=False, indent=2)


def _plain(value: Any) -> Any:
    """Convert a list of dataclasses to dictionaries; return any other value unchanged."""
    return [asdict(item) for item in value] if isinstance(value, list) else value
