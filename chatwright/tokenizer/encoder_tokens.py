"""The special tokens of an encoder: [CLS] and [SEP] around a text, [PAD] and [MASK].

An encoder such as BERT (Devlin et al. 2018) reads `[CLS] text [SEP]`. A classification head reads
the hidden state at [CLS]. Masked-language training replaces tokens by [MASK] and predicts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chatwright.tokenizer.control import ControlId

N_SPECIAL_TOKENS = 2  # [CLS] and [SEP], added to every text


@dataclass(frozen=True)
class EncoderTokens:
    """The ids of an encoder's special tokens."""

    cls: ControlId  # [CLS], before a text
    sep: ControlId  # [SEP], after a text
    pad: ControlId  # [PAD], fills the rows of a batch; attention masks it out
    mask: ControlId  # [MASK], replaces a token that the model has to predict

    def with_special_tokens(self, text_ids: Sequence[int]) -> list[int]:
        """Return [CLS] text [SEP]."""
        return [self.cls, *text_ids, self.sep]

    def beginning(self, text_ids: Sequence[int], max_length: int) -> list[int]:
        """Return `[CLS] text [SEP]`, of which at most the first `max_length` tokens are kept.

        [SEP] is always the last token, as in transformers' truncation.
        """
        return self.with_special_tokens(text_ids[: max(0, max_length - N_SPECIAL_TOKENS)])

    def chunks(self, text_ids: Sequence[int], max_length: int) -> list[list[int]]:
        """Split a text into rows `[CLS] part [SEP]` of at most `max_length` tokens.

        Training and prediction both call this method, so they split a long text alike.
        """
        parts = split_evenly(text_ids, max_length - N_SPECIAL_TOKENS)
        return [self.with_special_tokens(part) for part in parts]


def split_evenly(ids: Sequence[int], max_length: int) -> list[Sequence[int]]:
    """Split `ids` into as few parts as possible, of lengths that differ by at most one.

    The parts of a text get equal weight in its classification. A last part of three tokens would
    count as much as a full one, so the parts are made equally long instead.
    """
    n = max(1, -(-len(ids) // max_length))
    return [ids[i * len(ids) // n : (i + 1) * len(ids) // n] for i in range(n)]
