"""Show what the program is doing while a model opens, from the first moment on.

This module imports nothing heavy, so a command can show its first line before it loads PyTorch.
"""

import sys
from types import TracebackType
from typing import TextIO


class StatusLine:
    """A line on standard error that replaces itself, and is erased at the end of a `with` block.

    Only a terminal shows it, because a file would keep every state. With `keeps_lines` a file gets
    one line for each state, for the log of a server.
    """

    def __init__(
        self, subject: str, stream: TextIO | None = None, keeps_lines: bool = False
    ) -> None:
        """Write to `stream`, by default standard error. Each line begins with `subject`."""
        self.subject = subject
        self.stream = stream or sys.stderr
        self.keeps_lines = keeps_lines
        self._n_shown = 0  # characters of the line on the screen

    def show(self, action: str) -> None:
        """Replace the line: `action` says what happens now, for example "reading the weights"."""
        line = f"{self.subject}: {action} ..."
        if self.stream.isatty():
            self._replace(line)
        elif self.keeps_lines:
            print(line, file=self.stream, flush=True)

    def note(self, text: str) -> None:
        """Print a line that stays."""
        self.erase()
        print(text, file=self.stream, flush=True)

    def erase(self) -> None:
        """Remove the line from the screen."""
        if self._n_shown:
            self._replace("")
            self.stream.write("\r")
            self.stream.flush()

    def _replace(self, line: str) -> None:
        # Spaces overwrite the old line, since not every terminal knows escape sequences.
        self.stream.write(f"\r{line.ljust(self._n_shown)}")
        self.stream.flush()
        self._n_shown = len(line)

    def __enter__(self) -> "StatusLine":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.erase()


class NoStatus(StatusLine):
    """A status that nobody sees, for models that are opened in the background."""

    def show(self, action: str) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""
