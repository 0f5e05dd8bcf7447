"""Read texts from a pipe."""

import sys
from collections.abc import Iterator

from chatwright.cli.terminal.pipe import line_reader
from chatwright.errors import InputError


def piped_lines(what: str) -> Iterator[str]:
    """Return the lines of standard input as they arrive.

    Raises:
        InputError: Standard input is a keyboard, so `what` (a text, a sentence) is missing.
    """
    if sys.stdin.isatty():
        raise InputError(
            f"There is no {what}.",
            remedy=f"Write a {what} after the directory, give a file, or pipe lines in.",
        )
    return iter(line_reader(sys.stdin), None)  # line_reader returns None after the last line
