"""Finding data files and reading their lines without trusting them.

A folder is read recursively in sorted order; hidden files and what systems leave there (Thumbs.db) are skipped. Lines come with
their number and are never longer than LINE_LIMIT, so a 1 GB line costs LINE_LIMIT of memory and an error, not 1 GB. `.xz` and
`.gz` are unpacked on the way; archives (.tar, .zip) are not opened.
"""

from __future__ import annotations

import gzip
import lzma
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from chatwright.data.rows import DataError, Location, UnsupportedFile

LINE_LIMIT = 16 * 2**20  # bytes
FORMATS = (".txt", ".md", ".jsonl", ".json", ".csv", ".parquet")
JUNK = (
    "thumbs.db",
    "desktop.ini",
    "__macosx",
)  # what systems leave in people's folders, in lower case
COMPRESSIONS = (".xz", ".gz")
READ_ERRORS = (OSError, EOFError, lzma.LZMAError, zlib.error)


@dataclass(frozen=True)
class Line:
    number: int
    text: str  # with its newline, if it has one


def format_of(path: Path) -> str | None:
    """ ".jsonl" for a.jsonl and a.jsonl.xz; None for what no reader knows."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
        if suffixes and suffixes[-1] == ".parquet":
            return None  # parquet needs random access and compresses itself
    return suffixes[-1] if suffixes and suffixes[-1] in FORMATS else None


def find_files(path: Path) -> tuple[list[Path], list[UnsupportedFile]]:
    """The data files at `path`, and an error for each file that no reader knows."""
    if not path.exists():
        raise DataError(Location(str(path)), "there is no such file or folder", "check the path")
    found = [path] if path.is_file() else files_below(path)
    known = [file for file in found if format_of(file) and file.is_file()]
    unsupported = [unsupported_file(file) for file in sorted(set(found) - set(known))]
    if not known and not unsupported:
        raise DataError(
            Location(str(path)),
            "the folder is empty",
            f"put files into it: {', '.join(FORMATS)}, also as .xz or .gz",
        )
    return known, unsupported


def files_below(path: Path) -> list[Path]:
    """What a folder holds, in sorted order, without what is passed over. A link to a folder is given itself and not followed."""
    found: list[Path] = []
    for folder, folders, names in os.walk(path, onerror=cannot_open):
        inside = sorted(name for name in folders if not _is_passed_over(name))
        links = [name for name in inside if (Path(folder) / name).is_symlink()]
        folders[:] = [name for name in inside if name not in links]
        found += [Path(folder) / name for name in [*names, *links] if not _is_passed_over(name)]
    return sorted(found)


def _is_passed_over(name: str) -> bool:
    return name.startswith(".") or name.lower() in JUNK


def cannot_open(error: OSError) -> None:
    raise DataError(
        Location(str(error.filename)),
        f"the folder cannot be read ({error.strerror})",
        "change its permissions or remove it",
    )


def unsupported_file(path: Path) -> UnsupportedFile:
    if path.is_dir():
        return UnsupportedFile(
            Location(str(path)),
            "a link to a folder is not followed",
            "give that folder itself, or copy it here",
        )
    if format_of(path):
        return UnsupportedFile(
            Location(str(path)),
            "this is no regular file, or a link to one that is gone",
            "move it away",
        )
    name = path.name.lower()
    is_archive = name.endswith((".zip", ".tar", ".tgz")) or ".tar." in name
    remedy = (
        "unpack it and give the folder"
        if is_archive
        else f"convert it to one of {', '.join(FORMATS)} (also as .xz or .gz), or move it away"
    )
    return UnsupportedFile(
        Location(str(path)),
        f"files of the kind {path.suffix or 'without an ending'} are not read",
        remedy,
    )


def open_binary(path: Path) -> BinaryIO:
    """The file's bytes, unpacked if its name says it is packed."""
    try:
        if path.suffix.lower() == ".xz":
            return cast(BinaryIO, lzma.open(path, "rb"))
        if path.suffix.lower() == ".gz":
            return cast(BinaryIO, gzip.open(path, "rb"))
        return path.open("rb", buffering=2**20)
    except READ_ERRORS as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: BaseException) -> DataError:
    if isinstance(error, OSError) and error.strerror:
        return DataError(
            Location(str(path)),
            f"the file cannot be read ({error.strerror})",
            "check its permissions and the disk",
        )
    return DataError(
        Location(str(path)),
        f"the file is not a whole {path.suffix} file ({error})",
        "copy or download it again, or rename it if it is not packed",
    )


def read_bytes(path: Path, limit: int, remedy: str) -> bytes:
    """The whole file, or an error when it is longer than `limit`."""
    try:
        with open_binary(path) as file:
            data = file.read(limit + 1)
    except READ_ERRORS as error:
        raise unreadable(path, error) from None
    if len(data) > limit:
        raise DataError(
            Location(str(path)), f"the file is larger than {limit // 2**20} MiB", remedy
        )
    return data


def read_lines(path: Path) -> Iterator[Line | DataError]:
    """Every line as text, and an error in place of each line that is not. It goes on after an error where that makes sense."""
    try:
        with open_binary(path) as file:
            offset = 0
            number = 0
            while raw := file.readline(LINE_LIMIT + 1):
                number += 1
                start, offset = offset, offset + len(raw)
                here = Location(str(path), number)
                if len(raw) > LINE_LIMIT:
                    while raw and not raw.endswith(b"\n"):
                        raw = file.readline(LINE_LIMIT)
                        offset += len(raw)
                    yield DataError(
                        here,
                        f"the line is longer than {LINE_LIMIT // 2**20} MiB",
                        "break the text into lines, or the row into several rows",
                    )
                    continue
                if b"\0" in raw:
                    yield binary(path, raw, start)
                    return
                try:
                    yield Line(number, raw.decode("utf-8-sig" if number == 1 else "utf-8"))
                except UnicodeDecodeError as error:
                    yield invalid_utf8(here, start + error.start)
    except READ_ERRORS as error:
        yield unreadable(path, error)


def binary(path: Path, raw: bytes, start: int) -> DataError:
    if start == 0 and raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return DataError(Location(str(path)), "the file is UTF-16", "save it as UTF-8")
    where = start + raw.index(b"\0")
    return DataError(
        Location(str(path)),
        f"this is a binary file, not text (a zero byte at byte {where})",
        "give the text it was made from, or move it away",
    )


def invalid_utf8(location: Location, byte: int) -> DataError:
    return DataError(
        location,
        f"byte {byte} of the file is not valid UTF-8",
        "save the file as UTF-8 (from Latin-1: iconv -f latin1 -t utf-8)",
    )
