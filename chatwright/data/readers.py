"""Rows from files: .txt and .md (one document each), .jsonl, .json, .csv, .parquet, alone or in folders, also as .xz or .gz.

`scan_rows` yields rows and errors alike, for `data check`; `read_rows` raises the first error, for training. Everything
streams except .json, which has to be read whole.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chatwright.data.files import (
    LINE_LIMIT,
    Line,
    find_files,
    format_of,
    invalid_utf8,
    read_bytes,
    read_lines,
    unreadable,
)
from chatwright.data.row_shapes import missing_columns, to_row
from chatwright.data.rows import DataError, Location, Row, TextRow, UnsupportedFile

# A longer text is cut into several documents, at a blank line if one comes, so that no file has to fit into memory.
DOCUMENT_LIMIT = 32 * 2**20  # characters
JSON_LIMIT = 512 * 2**20  # bytes

DataSource = Path | tuple[Path, ...]  # a file or folder, or several read one after another


def read_rows(
    path: DataSource, skipped: list[DataError] | None = None, skip_bad_rows: bool = False
) -> Iterator[Row]:
    """Every row, or the first DataError.

    With a list for `skipped`, files of unknown kinds inside a folder are put there instead, and with `skip_bad_rows` every
    other error too: leaving something out is possible, leaving it out unseen is not.
    """
    assert skipped is not None or not skip_bad_rows, "skipped rows need a list to be reported in"
    count = 0
    first: DataError | None = None
    for part in paths_of(path):
        for item in scan_rows(part):
            if isinstance(item, DataError):
                first = first or item
                if skipped is None or not (
                    skip_bad_rows or (isinstance(item, UnsupportedFile) and part.is_dir())
                ):
                    raise item
                skipped.append(item)
            else:
                count += 1
                yield item
    if not count and first is not None:
        raise first


def paths_of(source: DataSource) -> tuple[Path, ...]:
    return source if isinstance(source, tuple) else (Path(source),)


def describe_source(source: DataSource) -> str:
    return " and ".join(map(str, paths_of(source)))


def scan_rows(path: Path) -> Iterator[Row | DataError]:
    """Every row and every error, in the order of files and lines. One bad row does not hide the next."""
    path = Path(path)
    try:
        files, unsupported = find_files(path)
    except DataError as error:
        yield error
        return
    yield from unsupported
    for file in files:
        found = False
        for item in SCANNERS[format_of(file) or ""](file):
            found = True
            yield item
        if not found:
            yield DataError(Location(str(file)), "the file is empty", "fill it or remove it")


def scan_text(path: Path) -> Iterator[Row | DataError]:
    lines: list[str] = []
    length = 0
    first = 1
    for line in read_lines(path):
        if isinstance(line, DataError):
            yield line
            return  # half a document is not a document
        text = line.text.removesuffix("\r\n") + "\n" if line.text.endswith("\r\n") else line.text
        lines.append(text)
        length += len(text)
        if length >= DOCUMENT_LIMIT and (not text.strip() or length >= 2 * DOCUMENT_LIMIT):
            yield TextRow("".join(lines), Location(str(path), first))
            lines, length, first = [], 0, line.number + 1
    document = "".join(lines)
    if document.strip():
        yield TextRow(document, Location(str(path), first))


def scan_json_lines(path: Path) -> Iterator[Row | DataError]:
    for line in read_lines(path):
        if isinstance(line, DataError):
            yield line
        elif line.text.strip():
            location = Location(str(path), line.number)
            try:
                yield to_row(parse_json(line.text, location), location)
            except DataError as error:
                yield error


def scan_json(path: Path) -> Iterator[Row | DataError]:
    whole = Location(str(path))
    try:
        data = read_bytes(
            path, JSON_LIMIT, "write it as .jsonl, one object per line, which is read line by line"
        )
        if not data.strip():
            return
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise invalid_utf8(
                Location(str(path), data.count(b"\n", 0, error.start) + 1), error.start
            ) from None
        records = parse_json(text, whole)
        if not isinstance(records, list):
            raise DataError(
                whole,
                "the file does not hold a list of rows",
                "write [ {...}, {...} ], or one object per line in a .jsonl file",
            )
    except DataError as error:
        yield error
        return
    for index, record in enumerate(records):
        try:
            yield to_row(record, Location(str(path), index + 1, "row"))
        except DataError as error:
            yield error


def parse_json(text: str, location: Location) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and location.number is None:
            raise DataError(
                location,
                f"line {error.lineno} begins a second JSON value",
                "rename the file to .jsonl if it has one object per line",
            ) from None
        line = f"line {error.lineno}, " if location.number is None else ""
        raise DataError(
            location,
            f"invalid JSON at {line}column {error.colno} ({error.msg})",
            "mend the JSON; one object per line in .jsonl",
        ) from None
    except RecursionError:
        raise DataError(
            location, "the JSON is nested too deeply", "flatten it to one of the known row shapes"
        ) from None
    except ValueError as error:  # an integer of thousands of digits
        raise DataError(
            location, f"invalid JSON ({error})", "write long numbers as texts"
        ) from None


def scan_csv(path: Path) -> Iterator[Row | DataError]:
    def lines() -> Iterator[str]:
        for line in read_lines(path):
            if isinstance(line, DataError):
                raise line
            assert isinstance(line, Line)
            yield line.text

    csv.field_size_limit(
        LINE_LIMIT
    )  # the module's own limit of 128 KiB is too small for a document in a cell
    reader = csv.reader(lines(), strict=True)
    start = 1
    header: list[str] | None = None
    try:
        for cells in reader:
            location = Location(str(path), start)
            start = reader.line_num + 1
            if not cells:
                continue
            if header is None:
                header = [name.strip() for name in cells]
                if len(set(header)) != len(header):
                    raise DataError(
                        location,
                        "the first line names a column twice",
                        "give every column its own name",
                    )
                continue
            if len(cells) != len(header):
                yield DataError(
                    location,
                    f"the row has {len(cells)} cells, the first line names {len(header)} columns",
                    "quote cells that hold commas or newlines",
                )
                continue
            try:
                yield to_row(csv_record(header, cells, location), location)
            except DataError as error:
                yield error
                if error.args == missing_columns(header, location).args:
                    return  # every further row would say the same
        if header is not None and start == 2:
            yield DataError(
                Location(str(path)),
                "the file holds a first line with column names and no rows",
                "add rows or remove it",
            )
    except csv.Error as error:
        yield DataError(
            Location(str(path), start),
            f"the CSV cannot be read from here ({error})",
            'close every quote, and write " inside a cell as ""',
        )
    except DataError as error:
        yield error


def csv_record(header: list[str], cells: list[str], location: Location) -> dict[str, Any]:
    """A cell that holds a list of messages is JSON, since CSV itself has no lists."""
    record: dict[str, Any] = {}
    for name, cell in zip(header, cells, strict=True):
        is_list = name in ("messages", "conversations") or (
            name in ("prompt", "completion", "chosen", "rejected") and cell.startswith("[{")
        )
        record[name] = parse_json(cell, location) if is_list else cell
    return record


def scan_parquet(path: Path) -> Iterator[Row | DataError]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            number = 0
            for batch in file.iter_batches(batch_size=1024):
                for record in batch.to_pylist():
                    number += 1
                    location = Location(str(path), number, "row")
                    try:
                        yield to_row(record, location)
                    except DataError as error:
                        yield error
                        if error.args == missing_columns(names, location).args:
                            return
    except OSError as error:
        yield unreadable(path, error)
    except pyarrow.ArrowException as error:
        cause = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        yield DataError(
            Location(str(path)),
            f"this is not a whole parquet file ({cause})",
            "copy or download it again",
        )
    except (
        ValueError,
        OverflowError,
    ) as error:  # a date or a text that Python has no value for, in whatever column
        cause = str(error).splitlines()[0][:200]
        yield DataError(
            Location(str(path)),
            f"a value in it cannot be read ({cause})",
            "write the file again with the text columns alone",
        )


SCANNERS = {
    ".txt": scan_text,
    ".md": scan_text,
    ".jsonl": scan_json_lines,
    ".json": scan_json,
    ".csv": scan_csv,
    ".parquet": scan_parquet,
}
