"""Rows of files and folders: texts (.txt, .md) and tables (.jsonl, .csv and others).

`scan_rows` yields rows and errors, for the command `data check`. `read_rows` raises the first
error, for training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from chatwright.data.preferences import feedback_row
from chatwright.data.readers.data_source import (
    DEFAULTS,
    DataSource,
    ReadOptions,
    describe_source,
    paths_of,
)
from chatwright.data.readers.documents import scan_documents
from chatwright.data.readers.files import (
    FORMATS,
    TABLE_FORMATS,
    TEXT_FORMATS,
    find_files,
    format_of,
)
from chatwright.data.readers.problems import describe_skipped
from chatwright.data.readers.record import Record
from chatwright.data.readers.row_shapes import to_row
from chatwright.data.readers.tables import scan_records
from chatwright.data.rows import (
    ChatRow,
    CorrectionRow,
    DataError,
    Location,
    MissingColumns,
    PreferenceRow,
    RankedRow,
    Row,
    ThumbRow,
    UnsupportedFile,
)
from chatwright.data.snapshot import is_snapshot, read_snapshot

RowType = TypeVar("RowType")
KindType = TypeVar("KindType", bound=Row)


def read_rows(
    source: DataSource, options: ReadOptions = DEFAULTS, skipped: list[DataError] | None = None
) -> Iterator[Row]:
    """Yield the rows at `source`, whatever their kinds; see `without_errors` for errors."""
    items = (item for path in paths_of(source) for item in scan_rows(path, options))
    return without_errors(items, options, skipped)


def collect_rows(
    items: Iterable[RowType | DataError],
    source: DataSource,
    name: str,
    options: ReadOptions,
    skipped: list[DataError] | None,
) -> list[RowType]:
    """Return the rows among `items`; see `without_errors`. No row is a DataError with `name`."""
    rows = list(without_errors(items, options, skipped))
    if not rows:
        raise DataError(
            Location(describe_source(source)), f"there is no {name} in it", "check the path"
        )
    return rows


@dataclass(frozen=True)
class RowsRead(Generic[KindType]):
    """The rows of one kind at a data source."""

    source: DataSource
    rows: list[KindType]
    n_ignored: int
    """Rows of other kinds."""
    skipped: tuple[str, ...]
    """Files and rows that were left out because they cannot be read, one line per reason."""
    n_tie: int = 0
    """Rankings that state no pair because all their replies have the same rank."""
    n_thumb: int = 0
    """Ignored rows that rate a single reply."""


def read_kind(
    kind: type[KindType], source: DataSource, options: ReadOptions, *, name: str, remedy: str
) -> RowsRead[KindType]:
    """Return the rows of one kind, also those that other rows state (`rows_stated`).

    Raises DataError, with `name` and `remedy`, if there is none.
    """
    skipped: list[DataError] = []
    rows: list[KindType] = []
    n_ignored = 0
    n_tie = 0
    n_thumb = 0
    for row in read_rows(source, options, skipped):
        stated = [item for item in rows_stated(row, kind) if isinstance(item, kind)]
        rows += stated
        is_tie = kind in (PreferenceRow, ThumbRow) and isinstance(row, RankedRow) and not stated
        n_tie += is_tie
        n_thumb += isinstance(row, ThumbRow) and not stated
        n_ignored += not stated and not is_tie
    if not rows:
        location = Location(describe_source(source))
        cause = f"no {name} among its {n_ignored + n_tie} rows"
        if n_tie:
            cause += f" ({n_tie} are ties, which prefer no reply)"
        raise DataError(location, cause, remedy)
    return RowsRead(source, rows, n_ignored, describe_skipped(skipped), n_tie, n_thumb)


def rows_stated(row: Row, kind: type[object]) -> Sequence[Row]:
    """Return what a row states as rows of `kind`.

    A ranking states pairs, a pair is a ranking of two, and a correction states a pair and a
    conversation. A pair also states that one of its replies is good and the other bad. Any other
    row states only itself.
    """
    if isinstance(row, CorrectionRow) and kind is ChatRow:
        return [row.conversation()]
    if isinstance(row, CorrectionRow) and kind in (PreferenceRow, RankedRow, ThumbRow):
        row = row.ranking()
    if isinstance(row, RankedRow) and kind is PreferenceRow:
        return row.pairs()
    if isinstance(row, RankedRow) and kind is ThumbRow:
        return [thumb for pair in row.pairs() for thumb in pair.thumbs()]
    if isinstance(row, PreferenceRow) and kind is ThumbRow:
        return row.thumbs()
    if isinstance(row, PreferenceRow) and kind is RankedRow:
        return [RankedRow(row.prompt, (row.chosen, row.rejected), (1, 2), "", row.location)]
    return [row] if isinstance(row, kind) else []


def without_errors(
    items: Iterable[RowType | DataError], options: ReadOptions, skipped: list[DataError] | None
) -> Iterator[RowType]:
    """Yield the rows among `items`. Raises the first error that may not be left out.

    With a list for `skipped`, files of unknown formats inside a folder are left out, and with
    `options.skip_bad_rows` every row that cannot be read. Their errors are appended to `skipped`,
    so that they can be reported. If no row is left, the first error is raised.
    """
    assert skipped is not None or not options.skip_bad_rows, "skipped rows must be reported"
    n_row = 0
    first: DataError | None = None
    for item in items:
        if not isinstance(item, DataError):
            n_row += 1
            yield item
            continue
        first = first or item
        may_skip = options.skip_bad_rows or (isinstance(item, UnsupportedFile) and item.in_folder)
        if skipped is None or not may_skip:
            raise item
        skipped.append(item)
    if not n_row and first is not None:
        raise first


def scan_rows(path: Path, options: ReadOptions = DEFAULTS) -> Iterator[Row | DataError]:
    """Yield every row and every error, in the order of files and lines."""

    def scan(file: Path) -> Iterator[Row | DataError]:
        if format_of(file, TEXT_FORMATS):
            return scan_documents(file, options)
        if is_snapshot(file):
            return _scan_snapshot(file)
        return scan_table(file, options, to_row)

    return scan_files(path, FORMATS, scan)


def _scan_snapshot(path: Path) -> Iterator[Row | DataError]:
    """Yield the rows of a snapshot of feedback, or one error if it was changed."""
    try:
        yield from map(feedback_row, read_snapshot(path).feedback)
    except DataError as error:
        yield error


def scan_files(
    path: Path,
    formats: tuple[str, ...],
    scan: Callable[[Path], Iterator[RowType | DataError]],
) -> Iterator[RowType | DataError]:
    """Yield what `scan` yields for each file at `path` that has one of the formats.

    Yields an error for each other file, for an empty file and for a missing path.
    """
    path = Path(path)
    try:
        files, unsupported = find_files(path, formats)
    except DataError as error:
        yield error
        return
    yield from unsupported
    for file in files:
        is_empty = True
        for item in scan(file):
            is_empty = False
            yield item
        if is_empty:
            yield DataError(Location(str(file)), "the file is empty", "fill it or remove it")


def scan_table(
    path: Path, options: ReadOptions, convert: Callable[[Record], RowType]
) -> Iterator[RowType | DataError]:
    """Yield a row for each record of a table. One bad record does not hide the next."""
    has_fixed_columns = format_of(path, TABLE_FORMATS) in (".csv", ".tsv", ".parquet")
    for item in scan_records(path, options):
        if isinstance(item, DataError):
            yield item
            continue
        try:
            yield convert(item)
        except DataError as error:
            yield error
            if isinstance(error, MissingColumns) and has_fixed_columns:
                return  # every further row would give the same error
