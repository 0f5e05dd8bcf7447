"""Find data files in folders, and open them.

A folder is read recursively in sorted order. Hidden files and files that operating systems create
(Thumbs.db) are ignored. `.xz` and `.gz` files are unpacked while reading. Archives (.tar, .zip) are
not opened.
"""

from __future__ import annotations

import gzip
import lzma
import os
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from chatwright.data.rows import DataError, Location, UnsupportedFile

TEXT_FORMATS = (".txt", ".md")
TABLE_FORMATS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
FORMATS = (*TEXT_FORMATS, *TABLE_FORMATS)
COMPRESSIONS = (".xz", ".gz")
IGNORED_NAMES = ("thumbs.db", "desktop.ini", "__macosx")
"""Names of files that operating systems create, in lower case."""
READ_ERRORS = (OSError, EOFError, lzma.LZMAError, zlib.error)

SAVE_AS_TEXT = "save it as plain text (.txt, encoding UTF-8)"
SAVE_AS_CSV = "save each sheet as CSV (encoding UTF-8)"
UNPACK = "unpack it and give the folder"
REMEDIES = {
    ".docx": SAVE_AS_TEXT,
    ".doc": SAVE_AS_TEXT,
    ".odt": SAVE_AS_TEXT,
    ".rtf": SAVE_AS_TEXT,
    ".epub": SAVE_AS_TEXT,
    ".pptx": SAVE_AS_TEXT,
    ".html": SAVE_AS_TEXT,
    ".pdf": "copy its text into a .txt file, for example with pdftotext",
    ".xlsx": SAVE_AS_CSV,
    ".xls": SAVE_AS_CSV,
    ".ods": SAVE_AS_CSV,
    ".zip": UNPACK,
    ".tar": UNPACK,
    ".tgz": UNPACK,
}
"""Remedies for files of a kind that is not read, by the ending of their names."""


def format_of(path: Path, formats: tuple[str, ...] = FORMATS) -> str | None:
    """Return ".jsonl" for a.jsonl and a.jsonl.xz; None for a format that is not in `formats`."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
        if suffixes and suffixes[-1] == ".parquet":
            return None  # parquet needs random access and compresses itself
    return suffixes[-1] if suffixes and suffixes[-1] in formats else None


def find_files(
    path: Path, formats: tuple[str, ...] = FORMATS
) -> tuple[list[Path], list[UnsupportedFile]]:
    """Return the files at `path` in one of the formats, and an error for each other file.

    Raises DataError if there is no such path or the folder is empty.
    """
    if not path.exists():
        raise DataError(Location(str(path)), "there is no such file or folder", "check the path")
    in_folder = path.is_dir()
    all_files = files_below(path) if in_folder else [path]
    readable = [file for file in all_files if format_of(file, formats) and file.is_file()]
    unsupported = [
        unsupported_file(file, formats, in_folder)
        for file in sorted(set(all_files) - set(readable))
    ]
    if not all_files:
        raise DataError(
            Location(str(path)),
            "the folder is empty",
            f"put files into it: {', '.join(formats)}, also as .xz or .gz",
        )
    return readable, unsupported


def files_below(path: Path) -> list[Path]:
    """Return the files of a folder in sorted order.

    A link to a folder is returned itself and not followed. Hidden and ignored names are left out.
    """
    files: list[Path] = []
    for folder, folders, names in os.walk(path, onerror=_raise_unreadable_folder):
        inside = sorted(name for name in folders if not _is_ignored(name))
        links = [name for name in inside if (Path(folder) / name).is_symlink()]
        folders[:] = [name for name in inside if name not in links]
        files += [Path(folder) / name for name in [*names, *links] if not _is_ignored(name)]
    return sorted(files)


def _is_ignored(name: str) -> bool:
    return name.startswith(".") or name.lower() in IGNORED_NAMES


def _raise_unreadable_folder(error: OSError) -> None:
    raise DataError(
        Location(str(error.filename)),
        f"the folder cannot be read ({error.strerror})",
        "change its permissions or remove it",
    )


def unsupported_file(path: Path, formats: tuple[str, ...], in_folder: bool) -> UnsupportedFile:
    """Return the error for a file that cannot be read as data."""
    location = Location(str(path))
    if path.is_dir():
        return UnsupportedFile(
            location,
            "a link to a folder is not followed",
            "give that folder itself, or copy it here",
            in_folder=in_folder,
        )
    if format_of(path, formats):
        return UnsupportedFile(
            location,
            "this is not a regular file, or it is a link to a file that is missing",
            "move it away",
            in_folder=in_folder,
        )
    kind = f"{path.suffix.lower()} files" if path.suffix else "files without an ending"
    return UnsupportedFile(
        location, f"{kind} are not read here", _remedy(path, formats), in_folder=in_folder
    )


def _remedy(path: Path, formats: tuple[str, ...]) -> str:
    """Return the advice for a file whose format is not read."""
    endings = [suffix.lower() for suffix in path.suffixes]
    if endings and endings[-1] in COMPRESSIONS:
        endings.pop()
    if endings and endings[-1] in REMEDIES:
        return f"{REMEDIES[endings[-1]]}, or move it away"
    return f"convert it to one of {', '.join(formats)} (also as .xz or .gz), or move it away"


def open_binary(path: Path) -> BinaryIO:
    """Open the file's bytes, unpacked if its name ends in .xz or .gz. Raises DataError."""
    try:
        if path.suffix.lower() == ".xz":
            return cast(BinaryIO, lzma.open(path, "rb"))
        if path.suffix.lower() == ".gz":
            return cast(BinaryIO, gzip.open(path, "rb"))
        return path.open("rb", buffering=2**20)
    except READ_ERRORS as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: BaseException) -> DataError:
    """Return the error for a file that the system cannot read, or that is damaged."""
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
    """Return the whole file. Raises DataError if it is longer than `limit` bytes."""
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
