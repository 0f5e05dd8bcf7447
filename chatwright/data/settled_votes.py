"""One vote per preference: repeated rows count once, and of contradicting rows the majority wins.

Two rows contradict each other if they prefer opposite replies to the same prompt, or call the same
reply good and bad. If as many rows say one as the other, none of them is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from chatwright.data.rows import DataError, PreferenceRow, ThumbRow

RowType = TypeVar("RowType", PreferenceRow, ThumbRow)


@dataclass(frozen=True)
class Settled(Generic[RowType]):
    """The rows that are kept, in their order, and counts of the others."""

    rows: list[RowType]
    n_duplicate: int
    """Rows that repeat an earlier one."""
    n_contradicting: int
    """Questions, each a pair or a reply, on which rows contradict each other."""


def settle_pairs(rows: Sequence[PreferenceRow]) -> Settled[PreferenceRow]:
    """Settle pairs of replies. Raises DataError if every pair is contradicted."""

    def question(row: PreferenceRow) -> tuple[Hashable, bool]:
        is_in_order = repr(row.chosen) <= repr(row.rejected)
        pair = (row.chosen, row.rejected) if is_in_order else (row.rejected, row.chosen)
        return (row.prompt, pair), is_in_order

    return _settle(rows, question)


def settle_thumbs(rows: Sequence[ThumbRow]) -> Settled[ThumbRow]:
    """Settle ratings of single replies. Raises DataError if every rating is contradicted."""
    return _settle(rows, lambda row: ((row.prompt, row.reply), row.is_good))


def _settle(
    rows: Sequence[RowType], question: Callable[[RowType], tuple[Hashable, bool]]
) -> Settled[RowType]:
    """Settle rows by `question`, which returns what a row answers, and its answer."""
    votes: dict[Hashable, dict[bool, list[RowType]]] = {}
    for row in rows:
        asked, answer = question(row)
        votes.setdefault(asked, {True: [], False: []})[answer].append(row)
    kept: list[RowType] = []
    n_duplicate = 0
    n_contradicting = 0
    for sides in votes.values():
        yes = len(sides[True])
        no = len(sides[False])
        n_duplicate += max(yes - 1, 0) + max(no - 1, 0)
        n_contradicting += bool(yes and no)
        if yes != no:
            kept.append(sides[yes > no][0])
    if rows and not kept:
        raise DataError(
            rows[0].location,
            f"each of the {n_contradicting} preferences is contradicted by as many other rows, so "
            "there is nothing to learn",
            "add ratings, or remove those of a rater who contradicts the others",
            field="data",
        )
    return Settled(kept, n_duplicate, n_contradicting)
