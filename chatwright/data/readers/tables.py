"""Records of tables: .jsonl, .json, .csv, .tsv and .parquet files, also as .xz or .gz.

Every reader of texts, conversations, labels and sentence pairs reads its tables here. The columns
of a record decide what kind of row it is, see `row_shapes.py`. Everything is streamed except .json,
which has to be read whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chatwright.data.readers.data_source import ReadOptions
from chatwright.data.readers.delimited import scan_delimited
from chatwright.data.readers.encoding import open_utf8
from chatwright.data.readers.files import READ_ERRORS, TABLE_FORMATS, format_of, unreadable
from chatwright.data.readers.lines import invalid_utf8, read_lines, undecodable
from chatwright.data.readers.record import Record
from chatwright.data.readers.values import parse_json
from chatwright.data.rows import DataError, Location

JSON_LIMIT = 512 * 2**20  # bytes


def scan_records(path: Path, options: ReadOptions) -> Iterator[Record | DataError]:
    """Yield every record of a table, and an error for each that cannot be read.

    A file without the ending of a table, such as .txt, is read as delimited text.
    """
    scan = SCANNERS[format_of(path, TABLE_FORMATS) or ".tsv"]
    for item in scan(path, options):
        yield item.renamed(options.rename_columns) if isinstance(item, Record) else item


def _scan_json_lines(path: Path, options: ReadOptions) -> Iterator[Record | DataError]:
    for line in read_lines(path, options.encoding):
        if isinstance(line, DataError):
            yield line
        elif line.text.strip():
            location = Location(str(path), line.number)
            try:
                yield Record(parse_json(line.text, location), location)
            except DataError as error:
                yield error


def _scan_json(path: Path, options: ReadOptions) -> Iterator[Record | DataError]:
    try:
        records = _json_list(path, options)
    except DataError as error:
        yield error
        return
    for index, record in enumerate(records):
        yield Record(record, Location(str(path), index + 1, "row"))


def _json_list(path: Path, options: ReadOptions) -> list[Any]:
    text = _whole_text(path, options)
    if not text.strip():
        return []
    location = Location(str(path))
    records = parse_json(text, location)
    if isinstance(records, list):
        return records
    raise DataError(
        location,
        "the file does not hold a list of rows",
        "write [ {...}, {...} ], or one object per line in a .jsonl file",
    )


def _whole_text(path: Path, options: ReadOptions) -> str:
    try:
        with open_utf8(path, options.encoding) as file:
            data = file.read(JSON_LIMIT + 1)
    except UnicodeDecodeError as error:
        raise undecodable(path, error) from None
    except READ_ERRORS as error:
        raise unreadable(path, error) from None
    if len(data) > JSON_LIMIT:
        raise DataError(
            Location(str(path)),
            f"the file is larger than {JSON_LIMIT // 2**20} MiB",
            "write it as .jsonl, one object per line, which is read line by line",
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        start = data.rfind(b"\n", 0, error.start) + 1
        line = data[start : start + 2**16]
        location = Location(str(path), data.count(b"\n", 0, error.start) + 1)
        raise invalid_utf8(location, error.start, line, data[:8]) from None


def _scan_parquet(path: Path, options: ReadOptions) -> Iterator[Record | DataError]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=1024):
                for record in batch.to_pylist():
                    number += 1
                    yield Record(record, Location(str(path), number, "row"))
    except OSError as error:
        yield unreadable(path, error)
    except pyarrow.ArrowException as error:
        yield DataError(
            Location(str(path)),
            f"this is not a whole parquet file ({_first_line(error)})",
            "copy or download it again",
        )
    except (ValueError, OverflowError) as error:  # such as a date that Python cannot represent
        yield DataError(
            Location(str(path)),
            f"a value in it cannot be read ({_first_line(error)})",
            "write the file again with the text columns alone",
        )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]


SCANNERS = {
    ".jsonl": _scan_json_lines,
    ".json": _scan_json,
    ".csv": scan_delimited,
    ".tsv": scan_delimited,
    ".parquet": _scan_parquet,
}
