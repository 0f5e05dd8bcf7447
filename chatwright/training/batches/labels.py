"""Batches of labeled texts: every text once an epoch, in a new order each epoch, padded only to its micro-batch's longest.

Augmentation, in training alone: of a text in several pieces one is drawn each epoch, and `token_dropout` hides tokens behind <mask>, so that no
single word decides. Which texts come next, which pieces and which tokens are hidden is a pure function of (seed, epoch, position).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from chatwright.data.batches import Shuffled
from chatwright.data.encoded_labels import EncodedLabels
from chatwright.devices import generator
from chatwright.tokenizer.encoder_tokens import EncoderTokens
from chatwright.training.stage import Batch


@dataclass(frozen=True, kw_only=True)
class LabelBatchConfig:
    """Settings of the batches of a classification stage."""

    rows: int = 32
    """Texts in one step."""
    accumulate: int = 2
    """Micro-batches in one step; sorting texts by length between them saves padding."""
    token_dropout: float = 0.0
    """Share of the tokens replaced by <mask> in training, so that no single word decides."""

    def __post_init__(self) -> None:
        if self.rows < 1 or self.accumulate < 1:
            raise ValueError(
                f"rows ({self.rows}) and accumulate ({self.accumulate}) must be at least 1"
            )
        if not 0.0 <= self.token_dropout < 1.0:
            raise ValueError(f"token_dropout ({self.token_dropout}) must be at least 0 and below 1")


@dataclass(frozen=True)
class LabelMicroBatch:
    """token_ids (B, T), lengths (B,), labels (B,); text (B,) says which text a row is a piece of."""

    token_ids: Tensor
    lengths: Tensor
    labels: Tensor
    text: Tensor


class LabelBatches:
    def __init__(
        self,
        texts: EncodedLabels,
        encoder_tokens: EncoderTokens,
        config: LabelBatchConfig,
        seed: int,
        device: torch.device,
    ) -> None:
        self.texts, self.encoder_tokens, self.config, self.seed, self.device = (
            texts,
            encoder_tokens,
            config,
            seed,
            device,
        )
        self.order = Shuffled(len(texts), seed)

    def next_batch(self) -> Batch[LabelMicroBatch]:
        draws = generator(
            self.seed, f"pieces and hidden tokens at {self.order.epoch}, {self.order.position}"
        )
        rows = []
        for index in self.order.take(self.config.rows):
            pieces = self.texts.pieces[index]
            rows.append((index, pieces[int(torch.randint(len(pieces), (), generator=draws))]))
        rows.sort(key=lambda row: len(row[1]), reverse=True)
        size = -(-len(rows) // self.config.accumulate)
        parts = [
            self._micro_batch(rows[start : start + size]) for start in range(0, len(rows), size)
        ]
        return Batch([self._hide(part, draws) for part in parts], len(rows))

    def _hide(self, batch: LabelMicroBatch, draws: torch.Generator) -> LabelMicroBatch:
        if not self.config.token_dropout:
            return batch
        draw = torch.rand(batch.token_ids.shape, generator=draws).to(self.device)
        is_masked = draw < self.config.token_dropout
        is_masked &= (batch.token_ids != self.encoder_tokens.cls) & (
            batch.token_ids != self.encoder_tokens.pad
        )
        return LabelMicroBatch(
            batch.token_ids.masked_fill(is_masked, self.encoder_tokens.mask),
            batch.lengths,
            batch.labels,
            batch.text,
        )

    def _micro_batch(self, rows: Sequence[tuple[int, list[int]]]) -> LabelMicroBatch:
        longest = max(len(ids) for _, ids in rows)
        indices = [index for index, _ in rows]
        return LabelMicroBatch(
            *(
                torch.tensor(values, device=self.device)
                for values in (
                    [[*ids, *[self.encoder_tokens.pad] * (longest - len(ids))] for _, ids in rows],
                    [len(ids) for _, ids in rows],
                    [self.texts.labels[i] for i in indices],
                    indices,
                )
            )
        )

    def all_pieces(self) -> Iterator[LabelMicroBatch]:
        """Every piece of every text once, longest first: what validation looks at."""
        rows = [
            (index, piece) for index, pieces in enumerate(self.texts.pieces) for piece in pieces
        ]
        rows.sort(key=lambda row: len(row[1]), reverse=True)
        for start in range(0, len(rows), self.config.rows):
            yield self._micro_batch(rows[start : start + self.config.rows])

    def describe(self) -> dict[str, Any]:
        return self.texts.describe()

    def state_dict(self) -> dict[str, int]:
        return self.order.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.order.load_state_dict(state)
