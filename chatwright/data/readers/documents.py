"""Documents from .txt and .md files: one per file, and several for a very long file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from chatwright.data.readers.data_source import ReadOptions
from chatwright.data.readers.lines import read_lines
from chatwright.data.rows import DataError, Location, TextRow

DOCUMENT_LIMIT = 32 * 2**20  # characters
"""A longer text is cut at the next blank line, or at twice this length, to save memory."""


def scan_documents(path: Path, options: ReadOptions) -> Iterator[TextRow | DataError]:
    """Yield the documents of a text file before the first error, and that error."""
    lines: list[str] = []
    length = 0
    first = 1
    for line in read_lines(path, options.encoding):
        if isinstance(line, DataError):
            yield line
            return  # drop the document that holds the error
        text = line.text.removesuffix("\r\n") + "\n" if line.text.endswith("\r\n") else line.text
        lines.append(text)
        length += len(text)
        if length >= DOCUMENT_LIMIT and (not text.strip() or length >= 2 * DOCUMENT_LIMIT):
            yield TextRow("".join(lines), Location(str(path), first))
            lines = []
            length = 0
            first = line.number + 1
    document = "".join(lines)
    if document.strip():
        yield TextRow(document, Location(str(path), first))
