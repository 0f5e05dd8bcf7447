"""Lay out a sentence and its translation as token ids, for training, evaluation and translation.

    the encoder reads      source <end>
    the decoder reads      <bos> target          and predicts      target <end>

An imported model may start its decoder with another id than <bos>: MarianMT starts with <pad>.
"""

from __future__ import annotations

from collections.abc import Sequence

from chatwright.tokenizer.control import Control
from chatwright.tokenizer.imported import ImportedTokenizer
from chatwright.tokenizer.tokenizer import Tokenizer


def source_ids(text_ids: Sequence[int], control: Control) -> list[int]:
    """Return what the encoder reads: the source text and <end>."""
    return [*text_ids, int(control.end)]


def target_ids(text_ids: Sequence[int], control: Control, start_id: int | None = None) -> list[int]:
    """Return the whole target row: start id, translation, <end>.

    The decoder reads all ids but the last and predicts all ids but the first.
    """
    return [decoder_start_id(control, start_id), *text_ids, int(control.end)]


def target_tokenizer(tokenizer: Tokenizer) -> Tokenizer:
    """Return the tokenizer of the target language: MarianMT has one for each language."""
    if isinstance(tokenizer, ImportedTokenizer):
        return tokenizer.target_tokenizer
    return tokenizer


def decoder_start_id(control: Control, start_id: int | None) -> int:
    """Return the decoder's first id: `start_id` if the model's config names one, else <bos>."""
    return int(control.bos) if start_id is None else start_id
