"""Rows of delimited text: .csv and .tsv files, and .txt files with tabs.

The delimiter is guessed from the header line: a comma, semicolon, tab or vertical bar. A first line
`sep=;`, which Excel writes, names it. In .csv, cells in quotes may hold delimiters and newlines. In
.tsv and .txt with tabs, a quote is an ordinary character.

A .tsv or .txt file whose first line names no known columns has no header. Its columns are then
named "1", "2" and so on.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Literal

from chatwright.data.readers.data_source import ReadOptions
from chatwright.data.readers.files import format_of
from chatwright.data.readers.lines import LINE_LIMIT, Line, read_lines
from chatwright.data.readers.record import COLUMN_NAMES, HEADERS, Record
from chatwright.data.rows import DataError, Location

DELIMITERS = (",", ";", "\t", "|")
SEPARATOR_LINE = re.compile(r'\s*"?sep=(.)"?\s*', re.IGNORECASE)
N_SAMPLE = 20
"""First lines of a file that decide the delimiter if the header does not."""


def scan_delimited(path: Path, options: ReadOptions) -> Iterator[Record | DataError]:
    """Yield a record for each row, and an error for each row that does not fit the header.

    Reading stops at an error of the CSV syntax or of the encoding, which later rows depend on.
    """
    # The limit of the csv module, 128 KiB, is too small for a document in a cell.
    csv.field_size_limit(LINE_LIMIT)
    table = _Table(path, options)
    try:
        yield from table.records()
    except csv.Error as error:
        yield DataError(
            Location(str(path), table.row_start),
            f"the CSV cannot be read from here ({error})",
            'close every quote, and write " inside a cell as ""',
        )
    except DataError as error:
        yield error


class _Table:
    """The header and the dialect of one file, and its rows."""

    def __init__(self, path: Path, options: ReadOptions) -> None:
        self.path, self.options = path, options
        self.is_csv = format_of(path, (".csv",)) is not None
        self.new_names = {name for name in options.rename_columns if not name.isdecimal()}
        # Renaming a numbered column says that the file has no header.
        self.renames_numbers = len(self.new_names) < len(options.rename_columns)
        self.row_start = 1  # number of the line on which the current row begins
        self.n_line = 0  # number of the line read last

    def records(self) -> Iterator[Record | DataError]:
        """Yield the records. Raises DataError or csv.Error if the rest cannot be read."""
        lines = _without_blank_start(read_lines(self.path, self.options.encoding))
        sample = list(islice(lines, N_SAMPLE))
        delimiter = _named_delimiter(sample)
        if delimiter is not None:
            sample = list(_without_blank_start(sample[1:]))
        start = [line.text for line in sample if isinstance(line, Line)]
        delimiter = delimiter or self._delimiter(start)
        rows = self._rows(self._numbered(chain(sample, lines)), delimiter)
        header = None
        if start and self._has_header(start[0], delimiter):
            header = self._header(next(rows, None))
        n_row = 0
        for location, cells in rows:
            n_row += 1
            yield self._record(header, cells, location, delimiter)
        if sample and not n_row:
            yield DataError(
                Location(str(self.path)),
                "the file holds a line with column names and no rows",
                "add rows or remove it",
            )

    def _numbered(self, lines: Iterable[Line | DataError]) -> Iterator[str]:
        """Yield the text of each line and note its number. Raises the errors among the lines."""
        for line in lines:
            if isinstance(line, DataError):
                raise line
            self.row_start = self.row_start if self.n_line else line.number
            self.n_line = line.number
            yield line.text

    def _rows(self, lines: Iterator[str], delimiter: str) -> Iterator[tuple[Location, list[str]]]:
        """Yield the cells of each row that is not blank, with the line where it begins."""
        quoting: Literal[0, 3] = (
            csv.QUOTE_MINIMAL if self.is_csv or delimiter != "\t" else csv.QUOTE_NONE
        )
        for cells in csv.reader(lines, delimiter=delimiter, strict=True, quoting=quoting):
            location = Location(str(self.path), self.row_start)
            self.row_start = self.n_line + 1
            if any(cell.strip() for cell in cells):
                yield location, cells

    def _delimiter(self, start: Sequence[str]) -> str:
        """Return the delimiter with the most known column names in the first line.

        If several delimiters tie, .tsv and .txt files use tabs. In .csv, a delimiter is preferred
        that gives every line the same number of cells, and then the comma.
        """

        def quality(delimiter: str) -> tuple[int, bool, bool, bool, int]:
            names = _split(start[0], delimiter) if start else []
            n_known = len((COLUMN_NAMES | self.new_names).intersection(names))
            is_tab = not self.is_csv and delimiter == "\t"
            return n_known, is_tab, _is_even(start, delimiter), delimiter == ",", len(names)

        return max(DELIMITERS, key=quality)

    def _has_header(self, first: str, delimiter: str) -> bool:
        names = set(_split(first, delimiter))
        if names & self.new_names or any(header <= names for header in HEADERS):
            return True
        return self.is_csv and not self.renames_numbers

    def _header(self, row: tuple[Location, list[str]] | None) -> list[str]:
        """Return the column names in the first row."""
        location, cells = row or (Location(str(self.path)), [])
        names = [cell.strip() for cell in cells]
        while names and not names[-1]:  # spreadsheets write empty columns at the end
            names.pop()
        if len(set(names)) != len(names):
            raise DataError(
                location, "the first line names a column twice", "give every column its own name"
            )
        return names

    def _record(
        self, header: Sequence[str] | None, cells: list[str], location: Location, delimiter: str
    ) -> Record | DataError:
        if header is None:
            names = [str(number) for number in range(1, len(cells) + 1)]
            return Record(dict(zip(names, cells, strict=True)), location, has_header=False)
        while len(cells) > len(header) and not cells[-1].strip():
            cells.pop()
        if len(cells) == len(header):
            return Record(dict(zip(header, cells, strict=True)), location)
        shown = "a tab" if delimiter == "\t" else f"{delimiter!r}"
        return DataError(
            location,
            f"the row has {len(cells)} cells, and the header names {len(header)} columns",
            f"put quotes around cells that hold {shown} or a newline"
            if self.is_csv
            else f"write one cell for each column, without {shown} inside a cell",
        )


def _without_blank_start(lines: Iterable[Line | DataError]) -> Iterator[Line | DataError]:
    """Yield the lines from the first one that is not blank."""
    has_begun = False
    for line in lines:
        has_begun = has_begun or isinstance(line, DataError) or bool(line.text.strip())
        if has_begun:
            yield line


def _named_delimiter(lines: Sequence[Line | DataError]) -> str | None:
    """Return the delimiter that a first line `sep=;` names, or None without such a line."""
    first = lines[0] if lines else None
    match = SEPARATOR_LINE.fullmatch(first.text) if isinstance(first, Line) else None
    return match[1] if match else None


def _split(line: str, delimiter: str) -> list[str]:
    """Split a header line into column names without spaces around them."""
    try:
        cells = next(csv.reader([line.strip("\r\n")], delimiter=delimiter), [])
    except csv.Error:  # a line that is no header
        return []
    return [name.strip() for name in cells]


def _is_even(lines: Sequence[str], delimiter: str) -> bool:
    """Whether all rows in the lines have the same number of cells, which is at least two."""
    try:
        counts = {len(cells) for cells in csv.reader(lines, delimiter=delimiter) if cells}
    except csv.Error:
        return False
    return len(counts) == 1 and counts != {1}
