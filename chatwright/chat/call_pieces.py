"""Divide a tool call into its name and pieces of its arguments while it is written."""

from __future__ import annotations

import json
import re


class JsonCallPieces:
    """Follows one call that is JSON: `{"name": ..., "arguments": {...}}`, in this order.

    A call with another order has no pieces, and is known when it is complete.
    """

    _HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*(?=\{)')

    def __init__(self) -> None:
        """Begin before the first character."""
        self.name = ""
        """The tool's name; "" until it is known."""
        self._n_read = 0
        self._depth = 0
        self._is_in_string = False
        self._is_escaped = False

    def next_piece(self, text: str) -> str:
        """Return the next piece of the arguments; `text` is the whole call so far."""
        if not self.name:
            if (head := self._HEAD.match(text)) is None:
                return ""
            self.name, self._n_read = json.loads(head[1]), head.end()
        elif not self._depth:  # the arguments are complete
            return ""
        begin = self._n_read
        while self._n_read < len(text):
            self._take(text[self._n_read])
            self._n_read += 1
            if not self._depth:
                break
        return text[begin : self._n_read]

    def _take(self, character: str) -> None:
        """Follow the depth of objects and lists by one character."""
        if self._is_escaped:
            self._is_escaped = False
        elif self._is_in_string:
            self._is_in_string = character != '"'
            self._is_escaped = character == "\\"
        elif character == '"':
            self._is_in_string = True
        else:
            self._depth += (character in "{[") - (character in "}]")


class TextCallPieces:
    """Follows one call of Chatwright's own models: `COMMAND=NAME argument`."""

    _HEAD = re.compile(r"COMMAND=([A-Za-z_][A-Za-z0-9_]*) ")

    def __init__(self) -> None:
        """Begin before the first character."""
        self.name = ""
        """The tool's name; "" until it is known."""
        self._n_read = 0

    def next_piece(self, text: str) -> str:
        """Return the next piece of the argument; `text` is the whole call so far."""
        if not self.name:
            if (head := self._HEAD.match(text)) is None:
                return ""
            self.name, self._n_read = head[1], head.end()
        begin, self._n_read = self._n_read, len(text)
        return text[begin:]
