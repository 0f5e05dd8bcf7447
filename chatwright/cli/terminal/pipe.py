"""Messages from a pipe or a file: one line, one message."""

import io
from collections.abc import Callable
from typing import TextIO


class UnreadableLine(ValueError):
    """A line that is no text. The next one may be."""


def line_reader(stream: TextIO) -> Callable[[], str | None]:
    """A function that gives the next line, without its end; None after the last."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(
            errors="surrogateescape"
        )  # one bad byte must not take the lines around it along

    is_first = True

    def read_line() -> str | None:
        nonlocal is_first
        line = stream.readline()
        if not line:
            return None
        if is_first:  # some editors begin a file with a mark that is no part of its text
            line, is_first = line.removeprefix("\ufeff"), False
        line = line.removesuffix("\n").removesuffix("\r")  # also as Windows ends it
        place = next(
            (place for place, character in enumerate(line) if "\ud800" <= character <= "\udfff"),
            None,
        )
        if place is not None:
            raise UnreadableLine(
                f"The line holds bytes that are not valid UTF-8 (at character {place + 1}), so it was not sent. "
                "Convert the input to UTF-8."
            )
        return line

    return read_line
