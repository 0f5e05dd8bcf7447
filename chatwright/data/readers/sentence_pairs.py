"""Sentences with their translations, from tables or from two parallel text files.

A table has the columns source and target, or prompt and completion. Without a header (.tsv or .txt
with tabs, as from Tatoeba and Anki), two columns are read by their numbers. Two parallel files may
have any ending (train.fr.gz and train.en.gz); line n of one is the translation of line n of the
other.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from chatwright.data.readers.data_source import (
    DEFAULTS,
    DataSource,
    ReadOptions,
    paths_of,
)
from chatwright.data.readers.files import TABLE_FORMATS
from chatwright.data.readers.lines import Line, read_lines
from chatwright.data.readers.row_reader import collect_rows, scan_files, scan_table
from chatwright.data.readers.row_shapes import sentence_pair, to_pair
from chatwright.data.rows import DataError, Location, SentencePair

FORMATS = (*TABLE_FORMATS, ".txt")


def read_pairs(
    source: DataSource,
    target: DataSource | None = None,
    *,
    columns: tuple[int, int] = (1, 2),
    options: ReadOptions = DEFAULTS,
    skipped: list[DataError] | None = None,
) -> list[SentencePair]:
    """Return every pair; see `row_reader.without_errors` for errors. No pair at all is an error.

    Without a `target`, the files of `source` hold both sides. `columns` says which columns of files
    without a header are source and target, counted from 1.
    """
    items: Iterator[SentencePair | DataError]
    if target is None:
        items = (item for path in paths_of(source) for item in scan_pairs(path, columns, options))
    else:
        items = scan_parallel(source, target, options)
    return collect_rows(items, source, "sentence pair", options, skipped)


def scan_pairs(
    path: Path, columns: tuple[int, int] = (1, 2), options: ReadOptions = DEFAULTS
) -> Iterator[SentencePair | DataError]:
    """Yield every pair and every error, in the order of files and lines."""
    return scan_files(
        path,
        FORMATS,
        lambda file: scan_table(file, options, lambda record: to_pair(record, columns)),
    )


def scan_parallel(
    source: DataSource, target: DataSource, options: ReadOptions = DEFAULTS
) -> Iterator[SentencePair | DataError]:
    """Yield line n of a source file with line n of its target file."""
    sources = paths_of(source)
    targets = paths_of(target)
    if len(sources) != len(targets):
        raise DataError(
            Location(str(sources[0])),
            f"{len(sources)} source files and {len(targets)} target files",
            "name as many of each, in the same order",
        )
    for source_file, target_file in zip(sources, targets, strict=True):
        yield from _scan_two_files(source_file, target_file, options.encoding)


def _scan_two_files(
    source_file: Path, target_file: Path, encoding: str
) -> Iterator[SentencePair | DataError]:
    lines = zip_longest(read_lines(source_file, encoding), read_lines(target_file, encoding))
    for source, target in lines:
        if isinstance(source, DataError):
            yield source
        elif isinstance(target, DataError):
            yield target
        elif source is None:
            yield _uneven(longer=target_file, shorter=source_file, line=target)
            return
        elif target is None:
            yield _uneven(longer=source_file, shorter=target_file, line=source)
            return
        else:
            try:
                yield sentence_pair(
                    source.text, target.text, Location(str(source_file), source.number)
                )
            except DataError as error:
                yield error


def _uneven(longer: Path, shorter: Path, line: Line) -> DataError:
    return DataError(
        Location(str(longer), line.number),
        f"{shorter} has only {line.number - 1} lines",
        "line n of one file must be the translation of line n of the other; take both files from "
        "the same release",
    )
