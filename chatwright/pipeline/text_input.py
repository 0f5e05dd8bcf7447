"""Read the texts for `classify`, `embed` and `translate`, which an argument or a file holds."""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from chatwright.data.readers.data_source import DEFAULTS, ReadOptions
from chatwright.data.readers.files import COMPRESSIONS, FORMATS, TABLE_FORMATS, format_of
from chatwright.data.readers.lines import read_lines
from chatwright.data.readers.tables import scan_records
from chatwright.data.readers.values import RENAME, require_columns, require_string
from chatwright.data.rows import DataError
from chatwright.errors import InputError

FILE_ENDINGS = (*FORMATS, *COMPRESSIONS)


def file_named_by(text: str) -> Path | None:
    """Return the file or folder that an argument names, or None if the argument is a text.

    Raises:
        InputError: The argument looks like a file name, and there is no such file.
    """
    try:
        path = Path(text)
        if path.is_file() or (path.is_dir() and ("/" in text or "\\" in text)):
            return path
    except (OSError, ValueError):  # it is too long for a path, or has a NUL character
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
        remedy = f'call the column of the texts "text"; {RENAME}'
        text = require_columns(record, ("text",), remedy)
        yield require_string(text["text"], "text", record.location)


def _lines(file: Path, options: ReadOptions) -> Iterator[str]:
    for line in read_lines(file, options.encoding):
        if isinstance(line, DataError):
            raise line
        yield line.text.rstrip("\r\n")


def require_text(texts: Iterable[str]) -> Iterator[str]:
    """Return all texts, including blank ones, and check that at least one is not blank.

    The check reads only up to the first text that is not blank, so that the lines of a pipe can be
    processed one by one.

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
    """Return the same texts, after checking that an attention page can show so many.

    Raises:
        InputError: There are more than `limit`.
    """
    listed = list(texts)
    if len(listed) > limit:
        raise InputError(
            f"--attention shows at most {limit} texts, but there are {len(listed)}.",
            remedy="Give only the texts to show.",
            field="--attention",
            value=len(listed),
        )
    return iter(listed)


def require_writable(file: Path) -> None:
    """Check the path of an output file before the output is computed.

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
