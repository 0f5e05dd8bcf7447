"""How a sentence and its translation become ids: the one place, for training, evaluation and translating alike.

    the encoder reads      text <end>
    the decoder reads      <bos> translation          and predicts      translation <end>
"""

from __future__ import annotations

from collections.abc import Sequence

from chatwright.tokenizer.control import Control


def source_ids(text: Sequence[int], control: Control) -> list[int]:
    return [*text, int(control.end)]


def target_ids(text: Sequence[int], control: Control) -> list[int]:
    """All of it: the decoder reads all but the last and predicts all but the first."""
    return [int(control.bos), *text, int(control.end)]
