"""Errors of many rows, grouped by kind, so that a report has one entry for each kind."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from chatwright.data.rows import DataError, Location

N_SHOWN = 3
"""Locations that are named for each kind of problem."""


@dataclass
class ProblemKind:
    """Errors with the same cause and the same advice; numbers in the cause may differ."""

    cause: str
    """The cause of the first error."""
    advice: str
    locations: list[Location] = field(default_factory=list)

    def first_locations(self) -> str:
        """Name the first locations: "a.jsonl, lines 1, 2; b.jsonl, line 7; and 12 more"."""
        by_file: dict[tuple[str, str], list[Location]] = {}
        for location in self.locations[:N_SHOWN]:
            by_file.setdefault((location.file, location.unit), []).append(location)
        parts = [_in_file(*key, locations) for key, locations in by_file.items()]
        n_more = len(self.locations) - N_SHOWN
        return "; ".join([*parts, f"and {n_more:,} more"] if n_more > 0 else parts)


def _in_file(file: str, unit: str, locations: list[Location]) -> str:
    numbers = [f"{location.number}" for location in locations if location.number is not None]
    if not numbers:
        return str(Location(file))
    return f"{Location(file)}, {unit}{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"


def group_problems(problems: Iterable[tuple[str, str, Location]]) -> list[ProblemKind]:
    """Group (cause, advice, location) by cause and advice, in the order of first appearance."""
    kinds: dict[tuple[str, str], ProblemKind] = {}
    for cause, advice, location in problems:
        key = (re.sub(r"\d+", "0", cause), advice)
        kinds.setdefault(key, ProblemKind(cause, advice)).locations.append(location)
    return list(kinds.values())


def describe_skipped(errors: Iterable[DataError]) -> tuple[str, ...]:
    """Return one line for each kind of error: cause, count, first locations and advice."""
    kinds = group_problems((error.cause, error.advice, error.location) for error in errors)
    return tuple(
        f"{kind.cause} ({len(kind.locations):,} times, in {kind.first_locations()}). "
        f"{kind.advice[:1].upper()}{kind.advice[1:]}."
        if len(kind.locations) > 1
        else f"{kind.locations[0]}: {kind.cause}. {kind.advice[:1].upper()}{kind.advice[1:]}."
        for kind in kinds
    )
