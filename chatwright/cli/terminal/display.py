"""Show replies and notes: on a screen for people, or as JSON lines for scripts."""

import json
import sys
from dataclasses import asdict
from typing import Protocol, TextIO

from rich.console import Console
from rich.text import Text

from chatwright.chat import saved_conversation
from chatwright.chat.reply_events import Finished, Truncated


class Display(Protocol):
    """The output of the terminal chat."""

    is_interactive: bool
    """Whether the user reads the output live; additional notes are shown then."""

    def show_piece(self, text: str) -> None:
        """Show the next piece of a reply."""

    def begin_thinking(self) -> None:
        """Show that the model thinks before its answer."""

    def end_reply(self, finished: Finished, truncated: Truncated | None) -> None:
        """End a reply; `truncated` says which messages were left out of its prompt."""

    def stop_reply(self) -> None:
        """End a reply that the user stopped."""

    def reject_empty_line(self) -> None:
        """Report that the line was empty."""

    def note(self, text: str) -> None:
        """Show information about the chat."""

    def fail(self, text: str) -> None:
        """Show an error."""

    def end_line(self) -> None:
        """End everything that one line of input caused."""


class Screen:
    """Shows replies as text, for people."""

    def __init__(self, console: Console | None = None) -> None:
        """Write to the console, by default standard output."""
        self.console = console or Console(highlight=False)
        self.is_interactive = self.console.is_terminal

    def show_piece(self, text: str) -> None:
        """Show the next piece of a reply, without a line end."""
        self.console.print(printable(text), end="", soft_wrap=True)

    def begin_thinking(self) -> None:
        """Show a note in a terminal."""
        if self.is_interactive:
            self.note("(thinking ...)")

    def end_reply(self, finished: Finished, truncated: Truncated | None) -> None:
        """End the line of the reply."""
        self.console.print()

    def stop_reply(self) -> None:
        """End the line of a reply that the user stopped."""
        self.console.print()
        self.note("(stopped)")

    def reject_empty_line(self) -> None:
        """Report an empty line in a terminal; ignore it in a pipe."""
        if self.is_interactive:
            self.note("(nothing typed, nothing sent)")

    def note(self, text: str) -> None:
        """Show information in a dim style."""
        self.console.print(Text(printable(text).plain, style="dim"), soft_wrap=True)

    def fail(self, text: str) -> None:
        """Show an error in red."""
        self.console.print(Text(printable(text).plain, style="red"), soft_wrap=True)

    def end_line(self) -> None:
        """Do nothing: everything is shown already."""


class JsonLines:
    """Writes one JSON object per line of input, for scripts.

    The object holds the reply, the error, or the notes of a command. The notes are also shown to
    people, on standard error.
    """

    is_interactive = False

    def __init__(self, replies: TextIO | None = None, notes: Screen | None = None) -> None:
        """Write objects to `replies` (standard output) and notes to `notes` (standard error)."""
        self.replies = replies or sys.stdout
        self.notes = notes or Screen(Console(stderr=True, highlight=False))
        self.n_failed = 0
        self._has_written = False
        self._notes_of_line: list[str] = []

    def show_piece(self, text: str) -> None:
        """Do nothing: the whole reply is written at its end."""

    def begin_thinking(self) -> None:
        """Do nothing: the thinking is in the object of the reply."""

    def end_reply(self, finished: Finished, truncated: Truncated | None) -> None:
        """Write the reply. A failed reply is written by `fail`."""
        if finished.reason == "failed":
            return
        row = {
            **saved_conversation.to_json([finished.message])[0],
            "reason": finished.reason,
            "usage": asdict(finished.usage),
            "seed": finished.seed,
            "stopped_by": finished.stopped_by,
        }
        if truncated:
            row["truncated"] = asdict(truncated)
        self._write(row)

    def stop_reply(self) -> None:
        """Write an error for a reply that the user stopped."""
        self.fail("The reply was stopped (Ctrl-C).")

    def reject_empty_line(self) -> None:
        """Write an error for an empty line."""
        self.fail("The line is empty, so there is nothing to answer.")

    def note(self, text: str) -> None:
        """Show a note to people, and keep it for the object of this line."""
        self._notes_of_line.append(text)
        self.notes.note(text)

    def fail(self, text: str) -> None:
        """Write an error."""
        self.n_failed += 1
        self._write({"error": text})

    def end_line(self) -> None:
        """Write the notes of a line that caused no other object."""
        if not self._has_written and self._notes_of_line:
            self._write({"note": "\n".join(self._notes_of_line)})
        self._has_written = False
        self._notes_of_line = []

    def _write(self, row: dict[str, object]) -> None:
        self._has_written = True
        # json.dumps escapes all non-ASCII characters, so any encoding can carry the line.
        print(json.dumps(row), file=self.replies, flush=True)


def printable(text: str) -> Text:
    """Replace control characters, so that a reply cannot send escape sequences to the terminal."""
    return Text(
        "".join(
            "\N{REPLACEMENT CHARACTER}" if is_control(c) or "\ud800" <= c <= "\udfff" else c
            for c in text
        )
    )


def is_control(character: str) -> bool:
    """Return whether this is a control character other than a newline or a tab."""
    return character not in "\n\t" and (character < " " or "\x7f" <= character <= "\x9f")
