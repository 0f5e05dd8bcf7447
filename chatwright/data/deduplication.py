"""Leave out rows that repeat an earlier one, exactly or nearly.

Exact: equal after normalisation (case, white space, Unicode form). Near: MinHash over runs of SHINGLE words (Broder 1997),
candidates from locality-sensitive bands, each confirmed by the estimated share of common runs. Deterministic: the hash
functions are fixed. The first of each group stays. Costs about a millisecond and 1 KB per row for the near part. It does not
find a short row inside a long one; `contamination.py` finds such overlaps between two sets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from chatwright.data.plain_text import identity, words
from chatwright.data.rows import Location, Row

SHINGLE = 3  # words in a run
N_HASH = 128
ROWS_PER_BAND = 4  # 32 bands of 4: a pair that shares 60 % of its runs becomes a candidate with probability 0.99


@dataclass(frozen=True)
class Duplicate:
    location: Location
    of: Location  # the earlier row that stays
    is_exact: bool


@dataclass(frozen=True)
class Deduplicated:
    rows: list[Row]
    duplicates: list[Duplicate]

    @property
    def n_exact(self) -> int:
        return sum(duplicate.is_exact for duplicate in self.duplicates)

    @property
    def n_near(self) -> int:
        return len(self.duplicates) - self.n_exact


def deduplicate(rows: Iterable[Row], near: float | None = None) -> Deduplicated:
    """Rows without their repetitions. `near` (say 0.8) is the share of common runs of words above which rows count as the same."""
    finder = DuplicateFinder(near)
    kept: list[Row] = []
    duplicates: list[Duplicate] = []
    for row in rows:
        duplicate = finder.find(row)
        if duplicate is None:
            kept.append(row)
        else:
            duplicates.append(duplicate)
    return Deduplicated(kept, duplicates)


class DuplicateFinder:
    """The same one row at a time, for data too large to hold."""

    def __init__(self, near: float | None = None) -> None:
        if near is not None and not 0 < near <= 1:
            raise ValueError(
                f"near ({near}) must be above 0 and at most 1, for example 0.8; leave it out for exact duplicates only"
            )
        self._seen: dict[bytes, Location] = {}
        self._near = NearIndex(near) if near is not None else None

    def find(self, row: Row) -> Duplicate | None:
        """What earlier row this one repeats, or None (and it counts as seen)."""
        digest = hashlib.sha256(f"{type(row).__name__}\n{identity(row)}".encode()).digest()
        original = self._seen.get(digest)
        if original is not None:
            return Duplicate(row.location, original, is_exact=True)
        original = self._near.find_or_add(row) if self._near is not None else None
        # A near copy stands for its original: its own exact copies are then found as copies of what stays.
        self._seen[digest] = original or row.location
        return None if original is None else Duplicate(row.location, original, is_exact=False)


class NearIndex:
    """Signatures of the rows kept so far, found again by any of their bands."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._bands: dict[tuple[str, int, bytes], list[int]] = {}
        self._signatures: list[Any] = []
        self._locations: list[Location] = []

    def find_or_add(self, row: Row) -> Location | None:
        """The earlier row this one nearly repeats, or None after adding it."""
        shingles = shingle_hashes(words(row))
        if not len(shingles):
            return None  # too short to call alike by anything but equality
        signature = minhash(shingles)
        kind = type(row).__name__
        bands = [
            (kind, band, signature[band : band + ROWS_PER_BAND].tobytes())
            for band in range(0, N_HASH, ROWS_PER_BAND)
        ]
        for candidate in sorted({entry for band in bands for entry in self._bands.get(band, ())}):
            if float((self._signatures[candidate] == signature).mean()) >= self._threshold:
                return self._locations[candidate]
        for band in bands:
            self._bands.setdefault(band, []).append(len(self._signatures))
        self._signatures.append(signature)
        self._locations.append(row.location)
        return None


def shingle_hashes(row_words: Sequence[str]) -> Any:
    """A 32-bit hash for each distinct run of SHINGLE words."""
    runs = {
        " ".join(row_words[start : start + SHINGLE])
        for start in range(len(row_words) - SHINGLE + 1)
    }
    hashes = (
        int.from_bytes(hashlib.blake2b(run.encode("utf-8"), digest_size=4).digest(), "little")
        for run in runs
    )
    return numpy.fromiter(hashes, dtype=numpy.uint64, count=len(runs))


def minhash(shingles: Any) -> Any:
    """For each of N_HASH functions, its smallest value over the shingles: two sets agree in a place as often as they overlap."""
    smallest = numpy.full(N_HASH, numpy.iinfo(numpy.uint64).max, dtype=numpy.uint64)
    for start in range(0, len(shingles), 4096):  # a book has a million shingles; bound the table
        part = shingles[start : start + 4096]
        values = (part[None, :] * MULTIPLIERS[:, None] + OFFSETS[:, None]) >> numpy.uint64(
            32
        )  # multiply-shift, modulo 2**64
        smallest = numpy.minimum(smallest, values.min(axis=1))
    return smallest


def fixed_numbers(name: str) -> Any:
    digests = (
        hashlib.blake2b(f"{name} {index}".encode(), digest_size=8).digest()
        for index in range(N_HASH)
    )
    return numpy.array(
        [int.from_bytes(digest, "little") | 1 for digest in digests], dtype=numpy.uint64
    )


MULTIPLIERS = fixed_numbers("multiplier")
OFFSETS = fixed_numbers("offset")
