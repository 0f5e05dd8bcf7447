"""Batches of text pairs, in which the texts of the other pairs are the wrong answers.

A step is one micro-batch: texts of another micro-batch could not be wrong answers, so splitting a
step would change what is learned. An epoch holds every pair once, in an order that depends only on
(seed, epoch), so a resumed run continues with the same pairs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from chatwright.data.batches import Shuffled
from chatwright.data.encoded.text_pairs import EncodedTextPairs, EncodedTexts
from chatwright.training.setting_checks import require_setting
from chatwright.training.stage import Batch


@dataclass(frozen=True, kw_only=True)
class TextPairBatchConfig:
    """The shape of one optimizer step."""

    rows: int = 32
    """Pairs in one step; each anchor has the texts of the other pairs as wrong answers."""

    def __post_init__(self) -> None:
        require = partial(require_setting, self, "batches")
        require("rows", self.rows >= 2, "must be at least 2: one pair alone has no wrong answers")


@dataclass(frozen=True)
class PaddedTexts:
    """Texts padded to one length: token_ids (N, T), lengths (N,)."""

    token_ids: Tensor
    lengths: Tensor


@dataclass(frozen=True)
class TextPairMicroBatch:
    """B anchors and C candidates: the B positives in the anchors' order, then the negatives.

    is_left_out (B, C) marks candidates that are no wrong answers, because they belong to the anchor
    in another pair or are the anchor itself.
    """

    anchors: PaddedTexts
    candidates: PaddedTexts
    is_left_out: Tensor


class TextPairBatches:
    """Text pairs in batches of `config.rows`."""

    def __init__(
        self,
        pairs: EncodedTextPairs,
        pad: int,
        config: TextPairBatchConfig,
        seed: int,
        device: torch.device,
    ) -> None:
        self.pairs = pairs
        self.pad = pad
        self.config = config
        self.device = device
        self.n_row = min(config.rows, len(pairs))
        self.order = Shuffled(len(pairs), seed)

    def next_batch(self) -> Batch[TextPairMicroBatch]:
        """Return the next pairs."""
        rows = self.order.take(self.n_row)
        return Batch([self.micro_batch(rows)], len(rows))

    def micro_batch(self, rows: Sequence[int]) -> TextPairMicroBatch:
        """Return the pairs with the indices `rows`."""
        anchors = [self.pairs.anchors[i] for i in rows]
        candidates = self.candidates(rows)
        texts = self.pairs.texts
        return TextPairMicroBatch(
            padded([texts.token_ids[i] for i in anchors], self.pad, self.device),
            padded([texts.token_ids[i] for i in candidates], self.pad, self.device),
            self.is_left_out(anchors, candidates).to(self.device),
        )

    def candidates(self, rows: Sequence[int]) -> list[int]:
        """Return the texts to choose from: the positives of the pairs, then their negatives."""
        negatives = [self.pairs.negatives[i] for i in rows]
        return [
            *(self.pairs.positives[i] for i in rows),
            *(negative for negative in negatives if negative is not None),
        ]

    def is_left_out(self, anchors: Sequence[int], candidates: Sequence[int]) -> Tensor:
        """Mark the candidates that are no wrong answers to each anchor. -> (B, C)."""
        marks = torch.tensor(
            [
                [text == anchor or text in self.pairs.positives_of[anchor] for text in candidates]
                for anchor in anchors
            ]
        )
        marks.fill_diagonal_(False)  # the right answers
        return marks

    def groups(self) -> Iterator[range]:
        """Yield the indices of all pairs in groups of `n_row`, always the same, for validation."""
        for start in range(0, len(self.pairs), self.n_row):
            yield range(start, min(start + self.n_row, len(self.pairs)))

    def describe(self) -> dict[str, Any]:
        """Return counts and a hash of the pairs."""
        return self.pairs.describe()

    def state_dict(self) -> dict[str, int]:
        """Return epoch and position."""
        return self.order.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from a position that `state_dict` returned."""
        self.order.load_state_dict(state)


def padded(texts: Sequence[Sequence[int]], pad: int, device: torch.device) -> PaddedTexts:
    """Pad texts to the length of the longest."""
    longest = max(map(len, texts))
    rows = [[*ids, *[pad] * (longest - len(ids))] for ids in texts]
    lengths = torch.tensor([len(ids) for ids in texts], device=device)
    return PaddedTexts(torch.tensor(rows, device=device), lengths)


def by_length(
    texts: EncodedTexts, n_token: int, pad: int, device: torch.device
) -> Iterator[tuple[list[int], PaddedTexts]]:
    """Yield all texts in batches of similar length, each with the texts' indices.

    A batch holds about `n_token` tokens, padding included.
    """
    order = sorted(range(len(texts.token_ids)), key=lambda i: len(texts.token_ids[i]), reverse=True)
    start = 0
    while start < len(order):
        size = max(1, n_token // len(texts.token_ids[order[start]]))
        indices = order[start : start + size]
        yield indices, padded([texts.token_ids[i] for i in indices], pad, device)
        start += size
