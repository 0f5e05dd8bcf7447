"""Texts as classify and translate take them: written in the command, a line each in a file or a pipe, or a column of a table."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path


def file_called(text: str) -> Path | None:
    """The file or folder that `text` names. What looks like a file's name and is none is a mistake, not a text."""
    from chatwright.data import labelled
    from chatwright.data.files import COMPRESSIONS, FORMATS

    try:
        if Path(text).is_file() or (Path(text).is_dir() and ("/" in text or "\\" in text)):
            return Path(text)
    except (OSError, ValueError):  # too long for a path, or with a zero byte
        return None
    if text.lower().endswith((*FORMATS, *labelled.FORMATS, *COMPRESSIONS)) and not any(
        map(str.isspace, text)
    ):
        raise ValueError(
            f"{text}: no such file. Check the path; a text that only looks like one can be piped in."
        )
    return None


def from_pipe() -> Iterator[str]:
    from chatwright.cli.terminal.pipe import line_reader

    return iter(line_reader(sys.stdin), None)  # which comes after the last


def from_file(file: Path) -> Iterator[str]:
    """The lines, of a table the column `text`. Also as .xz or .gz."""
    from chatwright.data.files import format_of, read_lines
    from chatwright.data.readers import read_rows
    from chatwright.data.rows import DataError, Location, TextRow

    if file.is_dir():
        raise ValueError(f"{file}: is a folder. Give the file with the texts.")
    if format_of(file) in (".jsonl", ".json", ".csv", ".parquet"):
        for row in read_rows(file):
            if not isinstance(row, TextRow):
                raise DataError(
                    row.location,
                    "the row is a conversation, not a text",
                    "name the column with the texts text",
                )
            yield row.text
        return
    is_table, column = ".tsv" in map(str.lower, file.suffixes), 0
    for line in read_lines(file):
        if isinstance(line, DataError):
            raise line
        text = line.text.rstrip("\r\n")
        if not is_table:
            yield text
        elif line.number > 1:
            yield text.split("\t")[column] if text.count("\t") >= column else ""
        elif "text" in (names := [name.strip() for name in text.split("\t")]):
            column = names.index("text")
        else:
            raise DataError(
                Location(str(file), 1),
                "the first line names no column text",
                "name the column with the texts text",
            )


def require_some(texts: Iterable[str]) -> Iterator[str]:
    """The same texts, as they come. Blank ones are kept for their places; nothing but blank ones is an error."""
    blank, texts = list[str](), iter(texts)
    for text in texts:
        if text.strip():
            yield from blank
            yield text
            break
        blank.append(text)
    else:
        raise ValueError("there is no text in what was given: it is empty.")
    yield from texts


def require_place(page: Path) -> None:
    """Before the work, not after it."""
    if page.is_dir() or not page.absolute().parent.is_dir():
        raise ValueError(
            f"{page}: is {'a folder' if page.is_dir() else 'in a folder that is not there'}. Give the file to write the page to."
        )
