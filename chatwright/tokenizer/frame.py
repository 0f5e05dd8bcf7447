"""What stands around a text that an encoder reads, and what hides a token from it.

    <cls> text <sep>        the label is read off <cls>; <mask> stands in place of a token that is to be guessed
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chatwright.tokenizer.control import ControlId

N_FRAME = 2  # tokens around every text


@dataclass(frozen=True)
class Frame:
    cls: ControlId  # before a text
    sep: ControlId  # after it
    pad: ControlId  # fills a batch; nobody looks at it
    mask: ControlId

    def around(self, text_ids: Sequence[int]) -> list[int]:
        return [self.cls, *text_ids, self.sep]
