"""Where a reply goes, and what is said beside it: to a person's screen, or as JSON lines to a script."""

import json
import sys
from dataclasses import asdict
from typing import Protocol, TextIO

from rich.console import Console
from rich.text import Text

from chatwright.chat import saved_conversation
from chatwright.chat.reply_events import Finished, Truncated


class Display(Protocol):
    is_watched: bool  # by a person, who is glad of a word more

    def piece(self, text: str) -> None: ...  # of a reply, as it comes
    def finish(self, finished: Finished, truncated: Truncated | None) -> None: ...
    def break_off(self) -> None: ...  # the reply ends here because a person said so
    def skip_empty(self) -> None: ...  # a line without anything on it
    def note(self, text: str) -> None: ...
    def fail(self, text: str) -> None: ...  # what was asked for did not happen
    def end_line(self) -> None: ...  # all that a line brought has been said


class Screen:
    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self.is_watched = self.console.is_terminal

    def piece(self, text: str) -> None:
        self.console.print(printable(text), end="", soft_wrap=True)

    def finish(self, finished: Finished, truncated: Truncated | None) -> None:
        self.console.print()

    def break_off(self) -> None:
        self.console.print()
        self.note("(broken off)")

    def skip_empty(self) -> None:
        if self.is_watched:
            self.note("(nothing typed, nothing sent)")

    def note(self, text: str) -> None:
        self.console.print(Text(printable(text).plain, style="dim"), soft_wrap=True)

    def fail(self, text: str) -> None:
        self.console.print(Text(printable(text).plain, style="red"), soft_wrap=True)

    def end_line(self) -> None:
        pass


class JsonLines:
    """One object a line, and nothing else, on `replies`: the reply, the failure, or what a command did; what a person would read goes to `notes`."""

    is_watched = False

    def __init__(self, replies: TextIO | None = None, notes: Screen | None = None) -> None:
        self.replies, self.notes = (
            replies or sys.stdout,
            notes or Screen(Console(stderr=True, highlight=False)),
        )
        self.n_failed = 0
        self._is_answered, self._said = False, list[str]()  # of the line under way

    def piece(self, text: str) -> None:
        pass

    def finish(self, finished: Finished, truncated: Truncated | None) -> None:
        if finished.reason == "failed":
            return  # its error follows
        row = {
            **saved_conversation.to_json([finished.message])[0],
            "reason": finished.reason,
            "usage": asdict(finished.usage),
            "seed": finished.seed,
            "stopped_by": finished.stopped_by,
        }
        self._write(row | ({"truncated": asdict(truncated)} if truncated else {}))

    def break_off(self) -> None:
        self.fail("The reply was broken off (Ctrl-C).")

    def skip_empty(self) -> None:
        self.fail("The line is empty: there is nothing to answer.")

    def note(self, text: str) -> None:
        self._said.append(text)
        self.notes.note(text)

    def fail(self, text: str) -> None:
        self.n_failed += 1
        self._write({"error": text})

    def end_line(self) -> None:
        if not self._is_answered and self._said:
            self._write({"note": "\n".join(self._said)})
        self._is_answered, self._said = False, []

    def _write(self, row: dict[str, object]) -> None:
        self._is_answered = True
        print(
            json.dumps(row), file=self.replies, flush=True
        )  # ASCII only: it passes through every encoding


def printable(text: str) -> Text:
    """Text as it may be shown: escape sequences in a reply must not reach the terminal as such."""
    return Text(
        "".join(
            "\N{REPLACEMENT CHARACTER}" if is_control(c) or "\ud800" <= c <= "\udfff" else c
            for c in text
        )
    )


def is_control(character: str) -> bool:
    return character not in "\n\t" and (character < " " or "\x7f" <= character <= "\x9f")
