"""Divide the text of a reply into thinking and answer while it arrives."""

from __future__ import annotations

from typing import Literal

from chatwright.chat.stream_decoder import length_of_possible_start


class ThinkingSplitter:
    """Divides a reply at the tags around its thinking.

    The tags, and the line ends around the thinking and before the answer, belong to neither. In
    pieces it gives the same texts as `tokenizer.thinking.split_thinking` of the whole reply, if the
    reply has the closing tag.
    """

    def __init__(self, tags: tuple[str, str] | None, is_open: bool = False) -> None:
        """Divide at `tags`; without tags all is answer. `is_open`: the prompt began to think."""
        self._open, self._close = tags or ("", "")
        self._state: Literal["start", "thinking", "answer"] = "start"
        if tags is None:
            self._state = "answer"
        elif is_open:
            self._state = "thinking"
        self._held = ""
        self._skips_line_ends = is_open

    def push(self, text: str) -> tuple[str, str]:
        """Return the next pieces of the thinking and of the answer."""
        text = self._held + text
        self._held = ""
        if self._state == "start":
            text = self._begin(text)
        if self._state == "thinking":
            return self._think(text)
        return "", self._answer(text) if self._state == "answer" else ""

    def finish(self) -> tuple[str, str]:
        """Return the pieces that were held back."""
        held, self._held = self._held, ""
        if self._state == "thinking":
            return held.rstrip("\n"), ""
        return "", held

    def _begin(self, text: str) -> str:
        """Choose by the first characters; return the text after the opening tag."""
        start = text.lstrip()
        if start.startswith(self._open):
            self._state = "thinking"
            self._skips_line_ends = True
            return start.removeprefix(self._open)
        if self._open.startswith(start):
            self._held = text
            return ""
        self._state = "answer"
        return text

    def _think(self, text: str) -> tuple[str, str]:
        if self._skips_line_ends:
            text = text.lstrip("\n")
            self._skips_line_ends = not text
        before, close, after = text.partition(self._close)
        if close:
            self._state = "answer"
            self._skips_line_ends = True
            return before.rstrip("\n"), self._answer(after)
        kept = text[: len(text) - length_of_possible_start(text, [self._close])].rstrip("\n")
        self._held = text[len(kept) :]
        return kept, ""

    def _answer(self, text: str) -> str:
        if self._skips_line_ends:
            text = text.lstrip("\n")
            self._skips_line_ends = not text
        return text
