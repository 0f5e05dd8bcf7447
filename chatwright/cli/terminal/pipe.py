"""Read messages from a pipe or a file: each line is one message."""

import io
from collections.abc import Callable
from typing import TextIO

from chatwright.errors import InputError


class UnreadableLine(InputError):
    """A line is not valid UTF-8. The lines after it can still be read."""


def line_reader(stream: TextIO) -> Callable[[], str | None]:
    """Return a function that returns the next line without its end; None after the last line.

    The function raises UnreadableLine for a line that is not valid UTF-8.
    """
    if isinstance(stream, io.TextIOWrapper):
        # With the default error handler no line after an invalid byte could be read.
        stream.reconfigure(errors="surrogateescape")
    is_first = True

    def read_line() -> str | None:
        nonlocal is_first
        line = stream.readline()
        if not line:
            return None
        if is_first:
            line = line.removeprefix("\ufeff")  # the byte-order mark that some editors write
            is_first = False
        line = line.removesuffix("\n").removesuffix("\r")  # also the line ends of Windows
        _require_utf8(line)
        return line

    return read_line


def _require_utf8(line: str) -> None:
    for number, character in enumerate(line, 1):
        if "\ud800" <= character <= "\udfff":
            raise UnreadableLine(
                f"The line is not valid UTF-8 (at character {number}), so it was not sent.",
                remedy="Convert the input to UTF-8.",
                field="line",
                value=number,
            )
