"""How a sentence and its translation become ids: the one place, for training, evaluation and translating alike.

    the encoder reads      text <end>
    the decoder reads      <bos> translation          and predicts      translation <end>

A model that came from elsewhere may begin its translations with another id than <bos>: MarianMT begins with its padding.
"""

from __future__ import annotations

from collections.abc import Sequence

from chatwright.tokenizer.control import Control
from chatwright.tokenizer.imported import ImportedTokenizer
from chatwright.tokenizer.tokenizer import Tokenizer


def source_ids(text: Sequence[int], control: Control) -> list[int]:
    return [*text, int(control.end)]


def target_ids(text: Sequence[int], control: Control, start_id: int | None = None) -> list[int]:
    """All of it: the decoder reads all but the last and predicts all but the first."""
    return [decoder_start_id(control, start_id), *text, int(control.end)]


def target_tokenizer(tokenizer: Tokenizer) -> Tokenizer:
    """What cuts translations: MarianMT has a model for each language."""
    return tokenizer.target_tokenizer if isinstance(tokenizer, ImportedTokenizer) else tokenizer


def decoder_start_id(control: Control, start_id: int | None) -> int:
    """What the decoder begins with; `start_id` is the model's own, where it has one."""
    return int(control.bos) if start_id is None else start_id
