"""Decode token ids to text while they arrive, and find stop texts in it.

A character whose bytes arrive in several tokens is held back until it is complete. Invalid bytes
become U+FFFD, exactly as if all bytes were decoded at once.
"""

import codecs
from collections.abc import Sequence

from chatwright.tokenizer.tokenizer import Tokenizer


class StreamDecoder:
    """Turns token ids into text, one by one."""

    def __init__(
        self, tokenizer: Tokenizer, is_opening: bool = True, prefix: str | None = None
    ) -> None:
        """Start at the beginning of a text, or in the middle if `is_opening` is False.

        At the beginning `prefix` is removed, by default `tokenizer.prefix`, which the tokenizer
        adds to every text.
        """
        self._tokenizer = tokenizer
        prefix = tokenizer.prefix if prefix is None else prefix
        self._prefix = prefix.encode() if is_opening else b""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token_id: int) -> str:
        """Return the characters that this token completes; "" for a control token."""
        return self.push_bytes(self._tokenizer.token_bytes(token_id))

    def push_bytes(self, content: bytes) -> str:
        """Return the characters that these bytes complete."""
        if content:
            content = content.removeprefix(self._prefix)
            self._prefix = b""
        return self._decoder.decode(content)

    def finish(self) -> str:
        """Return U+FFFD if the text ends in an incomplete character, otherwise ""."""
        return self._decoder.decode(b"", final=True)


class StopWatcher:
    """Passes on text up to the first stop text, and holds back text that may begin one."""

    def __init__(self, stops: Sequence[str]) -> None:
        """Watch for any of the non-empty texts in `stops`."""
        self._stops = tuple(stops)
        self._held = ""
        self.found = ""
        """The stop text that was found; "" as long as there is none."""

    def push(self, text: str) -> str:
        """Return the text that is certainly not part of a stop text; "" after a stop text."""
        if self.found:
            return ""
        text = self._held + text
        matches = [(text.find(stop), -len(stop), stop) for stop in self._stops if stop in text]
        if matches:
            # The earliest match; of several at the same position, the longest.
            start, _, stop = min(matches)
            self.found = stop
            self._held = ""
            return text[:start]
        n_held = length_of_possible_start(text, self._stops)
        self._held = text[len(text) - n_held :]
        return text[: len(text) - n_held]

    def finish(self) -> str:
        """Return the text that was held back."""
        held = self._held
        self._held = ""
        return held


def length_of_possible_start(text: str, wanted: Sequence[str]) -> int:
    """Return the length of the longest end of `text` that begins one of the wanted texts."""
    lengths = (
        length
        for one in wanted
        for length in range(1, min(len(one), len(text) + 1))
        if text.endswith(one[:length])
    )
    return max(lengths, default=0)
