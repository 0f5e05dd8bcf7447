"""Find training rows that share a long run of words with validation or evaluation rows.

The score of a model that was trained on the answers means nothing. The rule is GPT-3's (Brown et
al. 2020, appendix C): a common run of 13 words, ignoring case and punctuation. Shorter rows count
only if all their words are equal. This finds copies, not paraphrases or translations. It costs one
pass over the training words, and memory for the held-out rows only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy

from chatwright.data.checks.plain_text import words
from chatwright.data.rows import Location, Row
from chatwright.errors import InputError

N_WORDS = 13
"""Length of a run, in words."""
MULTIPLIER = numpy.uint64(0x9E3779B97F4A7C15)
"""Any odd number will do: for equal hashes, the words themselves are compared."""

RowType = TypeVar("RowType", bound=Row)


@dataclass(frozen=True)
class Overlap:
    """A training row that shares a run of words with a held-out row."""

    train: Location
    held_out: Location
    """The first held-out row that shares the run."""
    n_words: int
    """How many words of the training row are in common runs."""


def find_overlaps(
    train: Iterable[Row], held_out: Iterable[Row], n_words: int = N_WORDS
) -> list[Overlap]:
    """Return an entry for each training row that shares `n_words` words with a held-out row."""
    index = HeldOutIndex(held_out, n_words)
    return [overlap for row in train if (overlap := index.overlap(row)) is not None]


def remove_overlaps(
    train: Sequence[RowType], held_out: Iterable[Row], n_words: int = N_WORDS
) -> tuple[list[RowType], list[Overlap]]:
    """Return the training rows without an overlap, and the overlaps of the others."""
    index = HeldOutIndex(held_out, n_words)
    clean: list[RowType] = []
    overlaps: list[Overlap] = []
    for row in train:
        overlap = index.overlap(row)
        if overlap is None:
            clean.append(row)
        else:
            overlaps.append(overlap)
    return clean, overlaps


class HeldOutIndex:
    """An index of all runs of words in the held-out rows.

    Sorted hashes find candidates, and the words confirm a match.
    """

    def __init__(self, held_out: Iterable[Row], n_words: int) -> None:
        """Index the held-out rows. Raises InputError for runs of less than two words."""
        if n_words < 2:
            raise InputError(
                f"n_words ({n_words}) must be at least 2: every text shares single words.",
                remedy=f"{N_WORDS} is usual.",
                field="n_words",
                value=n_words,
            )
        self._n_words = n_words
        self._word_ids: dict[str, int] = {}
        self._rows: list[list[int]] = []
        self._locations: list[Location] = []
        self._short_rows: dict[tuple[int, ...], Location] = {}
        hashes: list[Any] = []
        for row in held_out:
            ids = [self._word_ids.setdefault(word, len(self._word_ids) + 1) for word in words(row)]
            if 0 < len(ids) < n_words:
                self._short_rows.setdefault(tuple(ids), row.location)
                continue
            self._rows.append(ids)
            self._locations.append(row.location)
            hashes.append(run_hashes(ids, n_words))
        self._sort(hashes)

    def _sort(self, hashes: list[Any]) -> None:
        """Sort the hashes of all runs; keep the row and the first word's index of each run."""
        all_hashes = numpy.concatenate(hashes) if hashes else numpy.empty(0, dtype=numpy.uint64)
        lengths = [len(row_hashes) for row_hashes in hashes]
        starts = [numpy.arange(length) for length in lengths] or [numpy.empty(0, dtype=numpy.int64)]
        self._hashes, first = numpy.unique(all_hashes, return_index=True)
        self._row_of = numpy.repeat(numpy.arange(len(lengths)), lengths)[first]
        self._start_of = numpy.concatenate(starts)[first]

    def overlap(self, row: Row) -> Overlap | None:
        """Return the overlap of a training row with the held-out rows, if there is one."""
        # Id 0 is a word that no held-out row has.
        ids = [self._word_ids.get(word, 0) for word in words(row)]
        n = self._n_words
        if len(ids) < n:
            shared = self._short_rows.get(tuple(ids))
            return None if shared is None else Overlap(row.location, shared, len(ids))
        if not len(self._hashes):
            return None
        first: Location | None = None
        covered = 0
        end = 0
        for start, candidate in self._candidates(run_hashes(ids, n)):
            held_out = int(self._row_of[candidate])
            held_out_start = int(self._start_of[candidate])
            if self._rows[held_out][held_out_start : held_out_start + n] == ids[start : start + n]:
                first = first or self._locations[held_out]
                covered += start + n - max(start, end)
                end = start + n
        return None if first is None else Overlap(row.location, first, covered)

    def _candidates(self, hashes: Any) -> list[tuple[int, int]]:
        """Return (index in `hashes`, index in the sorted hashes) for each equal hash."""
        indices = numpy.searchsorted(self._hashes, hashes)
        # A hash above all others gets an index past the end. Any valid index will do, since the
        # hashes there differ.
        indices[indices == len(self._hashes)] = 0
        starts = numpy.flatnonzero(self._hashes[indices] == hashes).tolist()
        return [(start, int(indices[start])) for start in starts]


def run_hashes(ids: Sequence[int], n_words: int) -> Any:
    """Return a hash, modulo 2**64, of each run of `n_words` ids."""
    values = numpy.array(ids, dtype=numpy.uint64)
    n_runs = max(len(ids) - n_words + 1, 0)
    hashes = numpy.zeros(n_runs, dtype=numpy.uint64)
    for offset in range(n_words):
        hashes = hashes * MULTIPLIER + values[offset : offset + n_runs]
    return hashes
