"""Find training rows that share a long run of words with rows kept for validation or evaluation.

A model that saw the answer reports a figure that is not one. The rule is GPT-3's (Brown et al. 2020, appendix C): a common
run of 13 words, ignoring case and punctuation. Rows shorter than the run count only when all their words are the same.
It finds copies, not paraphrases or translations. Costs one pass over the training words, and memory for the held-out rows only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy

from chatwright.data.plain_text import words
from chatwright.data.rows import Location, Row

N_WORDS = 13
MULTIPLIER = numpy.uint64(
    0x9E3779B97F4A7C15
)  # any odd number: the rolling hash only proposes, the words decide

RowType = TypeVar("RowType", bound=Row)


@dataclass(frozen=True)
class Overlap:
    train: Location
    held_out: Location  # the first held-out row that shares the run
    n_words: int  # how many words of the training row lie in common runs


def find_overlaps(
    train: Iterable[Row], held_out: Iterable[Row], n_words: int = N_WORDS
) -> list[Overlap]:
    """One entry for each training row that shares a run of `n_words` words with a held-out row."""
    index = HeldOutIndex(held_out, n_words)
    return [overlap for row in train if (overlap := index.overlap(row)) is not None]


def remove_overlaps(
    train: Sequence[RowType], held_out: Iterable[Row], n_words: int = N_WORDS
) -> tuple[list[RowType], list[Overlap]]:
    """The training rows that are clean, and what was wrong with the others."""
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
    """Every run of the held-out rows: sorted hashes to look up, and the words themselves to be certain."""

    def __init__(self, held_out: Iterable[Row], n_words: int) -> None:
        if n_words < 2:
            raise ValueError(
                f"n_words ({n_words}) must be at least 2: single words are common to all texts. {N_WORDS} is usual"
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
        every = numpy.concatenate(hashes) if hashes else numpy.empty(0, dtype=numpy.uint64)
        lengths = [len(row_hashes) for row_hashes in hashes]
        starts = [numpy.arange(length) for length in lengths] or [numpy.empty(0, dtype=numpy.int64)]
        self._hashes, first = numpy.unique(every, return_index=True)
        self._row_of = numpy.repeat(numpy.arange(len(lengths)), lengths)[first]
        self._start_of = numpy.concatenate(starts)[first]

    def overlap(self, row: Row) -> Overlap | None:
        ids = [self._word_ids.get(word, 0) for word in words(row)]  # 0: a word no held-out row has
        n = self._n_words
        if len(ids) < n:
            shared = self._short_rows.get(tuple(ids))
            return None if shared is None else Overlap(row.location, shared, len(ids))
        if not len(self._hashes):
            return None
        hashes = run_hashes(ids, n)
        first: Location | None = None
        covered = end = 0
        places = numpy.searchsorted(self._hashes, hashes)
        places[places == len(self._hashes)] = (
            0  # larger than all: any place will do, it is not equal
        )
        for start in numpy.flatnonzero(self._hashes[places] == hashes).tolist():
            place = int(places[start])
            held_out, at = int(self._row_of[place]), int(self._start_of[place])
            if self._rows[held_out][at : at + n] == ids[start : start + n]:
                first = first or self._locations[held_out]
                covered += start + n - max(start, end)
                end = start + n
        return None if first is None else Overlap(row.location, first, covered)


def run_hashes(ids: Sequence[int], n_words: int) -> Any:
    """A hash of each run of `n_words` ids, modulo 2**64."""
    values = numpy.array(ids, dtype=numpy.uint64)
    n_runs = max(len(ids) - n_words + 1, 0)
    hashes = numpy.zeros(n_runs, dtype=numpy.uint64)
    for place in range(n_words):
        hashes = hashes * MULTIPLIER + values[place : place + n_runs]
    return hashes
