"""Leave out rows that repeat an earlier one, exactly or nearly.

Exact duplicates are equal after normalization (case, white space, Unicode form). Near-duplicates
share most runs of SHINGLE words, as MinHash estimates it (Broder 1997). Locality-sensitive bands
give candidates, and the estimated share confirms each. The hash functions are fixed, so results
repeat. The first row of each group stays. Near-duplicates cost about a millisecond and 1 KB per
row. A short row inside a long one is not found; `contamination.py` finds such overlaps between two
sets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from chatwright.data.checks.plain_text import identity, words
from chatwright.data.rows import Location, Row
from chatwright.errors import InputError

SHINGLE = 3
"""Words in a run (a shingle)."""
N_HASH = 128
"""Number of hash functions, the length of a MinHash signature."""
ROWS_PER_BAND = 4
"""Signature values per band.

With 32 bands of 4, two rows that share 60 % of their runs become candidates with probability 0.99.
"""
BLOCK = 4096
"""Shingles hashed at once. A book has a million, too many for one matrix in memory."""


@dataclass(frozen=True)
class Duplicate:
    """A row that repeats an earlier one."""

    location: Location
    of: Location
    """The earlier row, which stays."""
    is_exact: bool


@dataclass(frozen=True)
class Deduplicated:
    """Rows without repetitions, and the repetitions."""

    rows: list[Row]
    duplicates: list[Duplicate]

    @property
    def n_exact(self) -> int:
        """Number of exact duplicates."""
        return sum(duplicate.is_exact for duplicate in self.duplicates)

    @property
    def n_near(self) -> int:
        """Number of near-duplicates."""
        return len(self.duplicates) - self.n_exact


def deduplicate(rows: Iterable[Row], near: float | None = None) -> Deduplicated:
    """Return the rows without repetitions; see `DuplicateFinder` for `near`."""
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
    """Find duplicates one row at a time, so the rows need not fit into memory together."""

    def __init__(self, near: float | None = None) -> None:
        """Look for exact duplicates, and with `near` for near-duplicates too.

        `near` (0.8 is usual) is the share of common runs of words that makes two rows duplicates.
        Raises InputError unless it is between 0 and 1.
        """
        if near is not None and not 0 < near <= 1:
            raise InputError(
                f"near ({near}) must be above 0 and at most 1.",
                remedy="0.8 is usual. Without it only exact duplicates are found.",
                field="near",
                value=near,
            )
        self._seen: dict[bytes, Location] = {}
        self._near = NearIndex(near) if near is not None else None

    def find(self, row: Row) -> Duplicate | None:
        """Return the earlier row that this one repeats; None adds the row to those seen."""
        digest = hashlib.sha256(f"{type(row).__name__}\n{identity(row)}".encode()).digest()
        original = self._seen.get(digest)
        if original is not None:
            return Duplicate(row.location, original, is_exact=True)
        original = self._near.find_or_add(row) if self._near is not None else None
        # An exact copy of a near-duplicate is reported as a copy of the row that stays.
        self._seen[digest] = original or row.location
        return None if original is None else Duplicate(row.location, original, is_exact=False)


class NearIndex:
    """MinHash signatures of the rows kept so far, indexed by their bands."""

    def __init__(self, threshold: float) -> None:
        """Start empty. `threshold` is the share of equal values that makes two rows duplicates."""
        self._threshold = threshold
        self._bands: dict[tuple[str, int, bytes], list[int]] = {}
        self._signatures: list[Any] = []
        self._locations: list[Location] = []

    def find_or_add(self, row: Row) -> Location | None:
        """Return the earlier row that this one nearly repeats; None adds this row."""
        shingles = shingle_hashes(words(row))
        if not len(shingles):
            return None  # too short: only exact copies are found
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
    """Return a 32-bit hash for each distinct run of SHINGLE words."""
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
    """Return the smallest value of each of N_HASH hash functions over the shingles.

    The share of equal values in two signatures estimates the share of common shingles.
    """
    smallest = numpy.full(N_HASH, numpy.iinfo(numpy.uint64).max, dtype=numpy.uint64)
    for start in range(0, len(shingles), BLOCK):
        block = shingles[start : start + BLOCK]
        # Multiply-shift hashing, modulo 2**64.
        products = block[None, :] * MULTIPLIERS[:, None] + OFFSETS[:, None]
        smallest = numpy.minimum(smallest, (products >> numpy.uint64(32)).min(axis=1))
    return smallest


def _fixed_numbers(name: str) -> Any:
    """Return N_HASH odd numbers of 64 bits that depend on the name only."""
    digests = (
        hashlib.blake2b(f"{name} {index}".encode(), digest_size=8).digest()
        for index in range(N_HASH)
    )
    numbers = [int.from_bytes(digest, "little") | 1 for digest in digests]
    return numpy.array(numbers, dtype=numpy.uint64)


MULTIPLIERS = _fixed_numbers("multiplier")
OFFSETS = _fixed_numbers("offset")
