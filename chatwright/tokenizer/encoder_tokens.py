"""What stands around a text that an encoder reads, and what hides a token from it.

<cls> text <sep>        the label is read off <cls>; <mask> stands in place of a token that is to be guessed
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chatwright.tokenizer.control import ControlId

N_SPECIAL_TOKENS = 2  # tokens around every text


@dataclass(frozen=True)
class EncoderTokens:
    cls: ControlId  # before a text
    sep: ControlId  # after it
    pad: ControlId  # fills a batch; nobody looks at it
    mask: ControlId

    def with_special_tokens(self, text_ids: Sequence[int]) -> list[int]:
        return [self.cls, *text_ids, self.sep]

    def chunks(self, text_ids: Sequence[int], max_length: int) -> list[list[int]]:
        """A text as one or more framed pieces of at most `max_length` tokens. Training and telling labels say it alike, here."""
        return [
            self.with_special_tokens(part)
            for part in split_evenly(text_ids, max_length - N_SPECIAL_TOKENS)
        ]


def split_evenly(ids: Sequence[int], room: int) -> list[Sequence[int]]:
    """As few parts as fit, as equal as they can be: a last part of three words would say as much as a whole page."""
    n = max(1, -(-len(ids) // room))
    return [ids[i * len(ids) // n : (i + 1) * len(ids) // n] for i in range(n)]
