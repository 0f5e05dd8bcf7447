"""Texts for `classify` and `translate`: which file an argument names, and the texts in it."""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from chatwright.data.readers.data_source import DEFAULTS, ReadOptions
from chatwright.data.readers.files import COMPRESSIONS, FORMATS, TABLE_FORMATS, format_of
from chatwright.data.readers.lines import read_lines
from chatwright.data.readers.row_shapes import RENAME
from chatwright.data.readers.tables import scan_records
from chatwright.data.readers.values import require_columns, require_string
from chatwright.data.rows import DataError
from chatwright.errors import InputError

FILE_ENDINGS = (*FORMATS, *COMPRESSIONS)


def file_named_by(text: str) -> Path | None:
    """Return the file or folder that an argument names, or None where the argument is a text.

    Raises:
        InputError: The argument looks like a file name, and there is no such file.
    """
    try:
        path = Path(text)
        if path.is_file() or (path.is_dir() and ("/" in text or "\\" in text)):
            return path
    except (OSError, ValueError):  # too long for a path, or with a NUL character
        return None
    if text.lower().endswith(FILE_ENDINGS) and not any(map(str.isspace, text)):
        raise InputError(
            f"{text}: there is no such file.",
            remedy="Check the path. If this is a text, send it through a pipe.",
            field=text,
        )
    return None


def read_texts(file: Path, options: ReadOptions = DEFAULTS) -> Iterator[str]:
    """Read one text per line, or the column "text" of a table. The file may be compressed.

    Raises:
        InputError: The path is a folder.
        DataError: A row holds no text.
    """
    if file.is_dir():
        raise InputError(
            f"{file}: this is a folder.", remedy="Give the file with the texts.", field=str(file)
        )
    read = _texts_of_table if format_of(file, TABLE_FORMATS) else _lines
    return read(file, options)


def _texts_of_table(file: Path, options: ReadOptions) -> Iterator[str]:
    for record in scan_records(file, options):
        if isinstance(record, DataError):
            raise record
        text = require_columns(record, ("text",), f"name the column with the texts text; {RENAME}")
        yield require_string(text["text"], "text", record.location)


def _lines(file: Path, options: ReadOptions) -> Iterator[str]:
    for line in read_lines(file, options.encoding):
        if isinstance(line, DataError):
            raise line
        yield line.text.rstrip("\r\n")


def require_text(texts: Iterable[str]) -> Iterator[str]:
    """Return the same texts. Blank ones keep their position, but at least one must not be blank.

    Texts are passed on as soon as they arrive, so that a pipe is answered line by line.

    Raises:
        InputError: All texts are blank, or there is none.
    """
    remaining = iter(texts)
    blank: list[str] = []
    for text in remaining:
        if text.strip():
            return chain(blank, [text], remaining)
        blank.append(text)
    raise InputError("The input holds no text.", remedy="Check the file or the pipe.")


def few_texts(texts: Iterable[str], limit: int) -> Iterator[str]:
    """Return the same texts after counting them: an attention page shows only a few.

    Raises:
        InputError: There are more than `limit`.
    """
    listed = list(texts)
    if len(listed) > limit:
        raise InputError(
            f"--attention shows at most {limit} texts, and there are {len(listed)}.",
            remedy="Choose the ones to look at.",
            field="--attention",
            value=len(listed),
        )
    return iter(listed)


def require_writable(file: Path) -> None:
    """Check that a file can be written, before the work whose result it takes.

    Raises:
        InputError: The path is a folder, or its folder does not exist.
    """
    if file.is_dir():
        raise InputError(
            f"{file}: this is a folder.", remedy="Give the name of a file.", field=str(file)
        )
    if not file.absolute().parent.is_dir():
        raise InputError(
            f"{file}: the folder {file.parent} does not exist.",
            remedy="Create it, or choose another folder.",
            field=str(file),
        )
