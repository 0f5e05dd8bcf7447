"""Read the lines of text files that may be huge, binary or in another encoding.

A line over LINE_LIMIT is an error, so a line of 1 GB takes 16 MiB of memory.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from chatwright.data.readers.encoding import likely_encoding, open_utf8
from chatwright.data.readers.files import READ_ERRORS, unreadable
from chatwright.data.rows import DataError, Location

LINE_LIMIT = 16 * 2**20  # bytes
SAMPLE_BYTES = 2**16  # how much of a line is looked at to guess its encoding
PDF_MARK = b"%PDF-"
DOCUMENT_MARKS = (
    (PDF_MARK, "a PDF document", "copy its text into a .txt file, for example with pdftotext"),
    (b"PK\x03\x04", "an Office document or a zip archive", "save it as plain text, or unpack it"),
    (b"\xd0\xcf\x11\xe0", "an old Office document", "save it as plain text"),
)
"""(first bytes, kind, remedy) of documents that may be named like a text file."""


@dataclass(frozen=True)
class Line:
    """One line of a text file."""

    number: int
    """Counted from 1."""
    text: str
    """With its newline, if it has one."""


def read_lines(path: Path, encoding: str = "") -> Iterator[Line | DataError]:
    """Yield every line, and an error for each line that is not text.

    For `encoding`, see `ReadOptions`. Reading continues after an error unless the file is binary
    or damaged.
    """
    try:
        with open_utf8(path, encoding) as file:
            yield from _lines(file, path)
    except UnicodeDecodeError as error:
        yield undecodable(path, error)
    except READ_ERRORS as error:
        yield unreadable(path, error)


def _lines(file: BinaryIO, path: Path) -> Iterator[Line | DataError]:
    offset = number = 0
    start_of_file = b""
    while raw := file.readline(LINE_LIMIT + 1):
        number += 1
        start_of_file = start_of_file or raw[:SAMPLE_BYTES]
        start, offset = offset, offset + len(raw)
        if len(raw) > LINE_LIMIT:
            offset += _skip_rest_of_line(file, raw)
            yield DataError(
                Location(str(path), number),
                f"the line is longer than {LINE_LIMIT // 2**20} MiB",
                "break the text into lines, or the row into several rows",
            )
        elif b"\0" in raw or start_of_file.startswith(PDF_MARK):
            yield binary(path, raw, start, start_of_file)
            return
        else:
            try:
                text = raw.decode("utf-8")
                yield Line(number, text.removeprefix("\ufeff") if number == 1 else text)
            except UnicodeDecodeError as error:
                location = Location(str(path), number)
                yield invalid_utf8(location, start + error.start, raw, start_of_file)


def _skip_rest_of_line(file: BinaryIO, raw: bytes) -> int:
    """Read to the end of a line and return the number of bytes read."""
    skipped = 0
    while raw and not raw.endswith(b"\n"):
        raw = file.readline(LINE_LIMIT)
        skipped += len(raw)
    return skipped


def _encoding_option(name: str) -> str:
    return f'--encoding {name} (in a recipe: encoding = "{name}")'


def binary(path: Path, raw: bytes, start: int, start_of_file: bytes) -> DataError:
    """Return the error for a file that is not text.

    Args:
        path: The file.
        raw: The first line that is not text.
        start: The offset of that line, in bytes.
        start_of_file: The first bytes of the file.
    """
    location = Location(str(path))
    likely = likely_encoding(start_of_file) if b"\0" in start_of_file else ""
    if likely:
        return DataError(
            location,
            f"the file looks like {likely} without a byte order mark",
            f"read it with {_encoding_option(likely)}, or save it as UTF-8",
            field="encoding",
        )
    for mark, kind, remedy in DOCUMENT_MARKS:
        if start_of_file.startswith(mark):
            return DataError(location, f"this is {kind}, not plain text", remedy)
    return DataError(
        location,
        f"this is a binary file, not text (a zero byte at byte {start + raw.index(0)})",
        "give the text it was made from, or move it away",
    )


def invalid_utf8(location: Location, byte: int, raw: bytes, start_of_file: bytes) -> DataError:
    """Return the error for a line that is not UTF-8, with advice that fits its likely encoding.

    `byte` is the offset in the file, `raw` the line, `start_of_file` the first bytes of the file.
    """
    cause = f"byte {byte} of the file is not valid UTF-8"
    likely = likely_encoding(raw[:SAMPLE_BYTES])
    convert = f"iconv -f {likely} -t utf-8"
    command = f"{convert} OLD > NEW"
    if start_of_file.startswith(codecs.BOM_UTF8):
        cause += ", although the file begins with a byte order mark of UTF-8"
        command = f"tail -c +4 OLD | {convert} > NEW"  # without the mark
    remedy = (
        "name the encoding of the file, for example --encoding cp1251, shift_jis, gb18030 or "
        "mac_roman, or save the file as UTF-8"
    )
    if likely:
        option = _encoding_option(likely)
        remedy = f"the text looks like {likely}: read it with {option}, or convert it: {command}"
    return DataError(location, cause, remedy, field="encoding")


def undecodable(path: Path, error: UnicodeDecodeError) -> DataError:
    """Return the error for a file that is not in the encoding of --encoding or its mark."""
    return DataError(
        Location(str(path)),
        f"the file is not valid {error.encoding} ({error.reason})",
        "name its encoding with --encoding, or save it as UTF-8",
        field="encoding",
    )
