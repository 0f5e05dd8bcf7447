"""Pairs of texts for vectors of texts: pairs that belong together, and pairs with a score.

Tables have the columns anchor and positive (and optionally negative), or sentence1, sentence2 and
score. Without a header (.tsv or .txt with tabs, as word lists are), columns are read in this order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from chatwright.data.checks.plain_text import normalized
from chatwright.data.readers.data_source import (
    DEFAULTS,
    DataSource,
    ReadOptions,
    paths_of,
)
from chatwright.data.readers.files import TABLE_FORMATS
from chatwright.data.readers.record import Record
from chatwright.data.readers.row_reader import collect_rows, scan_files, scan_table
from chatwright.data.readers.text_pair_shapes import to_scored_pair, to_text_pair
from chatwright.data.rows import DataError, ScoredPair, TextPair
from chatwright.data.split import choose_validation, partition

FORMATS = (*TABLE_FORMATS, ".txt")

PairType = TypeVar("PairType")


def read_text_pairs(
    source: DataSource, options: ReadOptions = DEFAULTS, skipped: list[DataError] | None = None
) -> list[TextPair]:
    """Return every pair; see `row_reader.without_errors` for errors. No pair at all is an error."""
    return _read(source, options, skipped, to_text_pair, "text pair")


def read_scored_pairs(
    source: DataSource, options: ReadOptions = DEFAULTS, skipped: list[DataError] | None = None
) -> list[ScoredPair]:
    """Return every pair; see `row_reader.without_errors` for errors. No pair at all is an error."""
    return _read(source, options, skipped, to_scored_pair, "scored pair")


def _read(
    source: DataSource,
    options: ReadOptions,
    skipped: list[DataError] | None,
    convert: Callable[[Record], PairType],
    name: str,
) -> list[PairType]:
    items = (
        item
        for path in paths_of(source)
        for item in scan_files(path, FORMATS, lambda file: scan_table(file, options, convert))
    )
    return collect_rows(items, source, name, options, skipped)


def split_text_pairs(
    pairs: Sequence[TextPair], validation_share: float
) -> tuple[list[TextPair], list[TextPair]]:
    """Split into (train, validation) by the hash of the anchor, so equal anchors stay together."""
    chosen = choose_validation([pair.anchor for pair in pairs], [1] * len(pairs), validation_share)
    train, validation = partition(pairs, chosen)
    if not train or not validation:
        raise DataError(
            pairs[0].location,
            f"{len(pairs)} pairs are too few to keep some for validation",
            "add pairs, or give a validation file",
            field="validation_share",
        )
    return train, validation


def without_repeated_pairs(
    train: Sequence[TextPair], validation: Sequence[TextPair]
) -> list[TextPair]:
    """Return the validation pairs that are not training pairs too, in either order of the texts.

    Texts that differ only in case, white space and Unicode form count as the same.
    """
    trained = {frozenset(_texts(pair)) for pair in train}
    return [pair for pair in validation if frozenset(_texts(pair)) not in trained]


def _texts(pair: TextPair) -> tuple[str, str]:
    return normalized(pair.anchor), normalized(pair.positive)
