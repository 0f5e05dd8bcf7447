"""Token ids in, readable text out, as it comes. A character that arrives in pieces is held back until it is whole.

Bytes that can never become a character are shown as U+FFFD, the same ones as if everything were decoded at the end.
"""

import codecs
from collections.abc import Sequence

from chatwright.tokenizer.tokenizer import Tokenizer


class StreamDecoder:
    def __init__(self, tokenizer: Tokenizer, is_opening: bool = True) -> None:
        """`is_opening` is False where the tokens go on with a text, which then holds the tokenizer's prefix already."""
        self._tokenizer = tokenizer
        self._prefix = tokenizer.prefix.encode() if is_opening else b""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token_id: int) -> str:
        """The characters that are whole now; control ids are none."""
        content = self._tokenizer.token_bytes(token_id)
        if content:
            content, self._prefix = content.removeprefix(self._prefix), b""
        return self._decoder.decode(content)

    def finish(self) -> str:
        """What an unfinished character at the end is shown as."""
        return self._decoder.decode(b"", final=True)


class StopWatcher:
    """Lets text through up to the first of some stop texts, and holds back what may yet turn out to be the beginning of one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.found = ""  # the stop text that was met

    def push(self, text: str) -> str:
        """What is safe to show. After a stop was found, nothing is."""
        if self.found:
            return ""
        text = self._held + text
        places = [(text.find(stop), -len(stop), stop) for stop in self._stops if stop in text]
        if places:
            place, _, self.found = min(places)  # the earliest; of several there, the longest
            self._held = ""
            return text[:place]
        n_held = max(
            (
                length
                for stop in self._stops
                for length in range(1, min(len(stop), len(text) + 1))
                if text.endswith(stop[:length])
            ),
            default=0,
        )
        self._held = text[len(text) - n_held :]
        return text[: len(text) - n_held]

    def finish(self) -> str:
        held, self._held = self._held, ""
        return held
