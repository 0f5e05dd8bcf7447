"""Labeled texts from tables with the columns text and label.

A label is a text or a whole number. Further columns are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from chatwright.data.checks.plain_text import normalized
from chatwright.data.readers.data_source import (
    DEFAULTS,
    DataSource,
    ReadOptions,
    paths_of,
)
from chatwright.data.readers.files import TABLE_FORMATS
from chatwright.data.readers.row_reader import collect_rows, scan_files, scan_table
from chatwright.data.readers.row_shapes import to_labeled
from chatwright.data.rows import DataError, LabeledText
from chatwright.data.split import choose_validation, partition


def read_labeled(
    source: DataSource, options: ReadOptions = DEFAULTS, skipped: list[DataError] | None = None
) -> list[LabeledText]:
    """Return every row; see `row_reader.without_errors` for errors. No row at all is an error."""
    items = (item for path in paths_of(source) for item in scan_labeled(path, options))
    return collect_rows(items, source, "labeled text", options, skipped)


def scan_labeled(path: Path, options: ReadOptions = DEFAULTS) -> Iterator[LabeledText | DataError]:
    """Yield every row and every error, in the order of files and lines."""
    return scan_files(path, TABLE_FORMATS, lambda file: scan_table(file, options, to_labeled))


def label_names(rows: Sequence[LabeledText]) -> tuple[str, ...]:
    """Return the names of the labels in alphabetical order, numbers by size."""
    names = sorted(
        {row.label for row in rows},
        key=lambda name: (0, int(name), "") if name.isdecimal() else (1, 0, name),
    )
    if len(names) < 2:
        raise DataError(
            rows[0].location,
            f"all {len(rows)} rows have the same label",
            "add rows of another label: a classifier needs at least two",
            field="label",
        )
    return tuple(names)


def split_labeled(
    rows: Sequence[LabeledText], validation_share: float
) -> tuple[list[LabeledText], list[LabeledText]]:
    """Split into (train, validation) by the hash of the text, so equal texts stay together."""
    chosen = choose_validation([row.text for row in rows], [1] * len(rows), validation_share)
    train, validation = partition(rows, chosen)
    if not train or not validation:
        raise DataError(
            rows[0].location,
            f"{len(rows)} rows are too few to keep some for validation",
            "add rows, or give a validation file",
        )
    return train, validation


def without_repeats(
    train: Sequence[LabeledText], validation: Sequence[LabeledText]
) -> list[LabeledText]:
    """Return the validation rows whose text is not in the training rows.

    Texts that differ only in case, white space and Unicode form count as the same.
    """
    trained = {normalized(row.text) for row in train}
    return [row for row in validation if normalized(row.text) not in trained]
