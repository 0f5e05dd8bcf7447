"""Batches of labeled texts, each micro-batch padded to its longest text.

An epoch holds every text once, in an order that changes with the epoch. Training augments the texts
in two ways: of a long text, cut into pieces, one piece is drawn in each epoch, and `token_dropout`
replaces tokens with <mask>, so that no single word decides the label. The order, the pieces and the
masked tokens depend only on (seed, epoch, position), so a resumed run draws the same ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from chatwright.data.batches import Shuffled
from chatwright.data.encoded.labels import EncodedLabels
from chatwright.devices import generator
from chatwright.tokenizer.encoder_tokens import EncoderTokens
from chatwright.training.setting_checks import require_setting
from chatwright.training.stage import Batch


@dataclass(frozen=True, kw_only=True)
class LabelBatchConfig:
    """The shape of one optimizer step, and the augmentation of its texts."""

    rows: int = 32
    """Texts in one step."""
    accumulate: int = 2
    """Micro-batches in one step; each holds texts of similar length, which saves padding."""
    token_dropout: float = 0.0
    """Share of tokens replaced with <mask> in training, so that no one word decides the label."""

    def __post_init__(self) -> None:
        require = partial(require_setting, self, "batches")
        require("rows", self.rows >= 1, "must be at least 1")
        require("accumulate", self.accumulate >= 1, "must be at least 1")
        require("token_dropout", 0.0 <= self.token_dropout < 1.0, "must be at least 0 and below 1")


@dataclass(frozen=True)
class LabelMicroBatch:
    """Pieces of labeled texts, padded to one length.

    token_ids (B, T); lengths (B,) without padding; labels (B,); text (B,) is the index of the text
    that each row belongs to.
    """

    token_ids: Tensor
    lengths: Tensor
    labels: Tensor
    text: Tensor


class LabelBatches:
    """Labeled texts in batches of `config.rows`."""

    def __init__(
        self,
        texts: EncodedLabels,
        encoder_tokens: EncoderTokens,
        config: LabelBatchConfig,
        seed: int,
        device: torch.device,
    ) -> None:
        self.texts = texts
        self.encoder_tokens = encoder_tokens
        self.config = config
        self.seed = seed
        self.device = device
        self.order = Shuffled(len(texts), seed)

    def next_batch(self) -> Batch[LabelMicroBatch]:
        """Return the next texts, augmented, the longest ones in the first micro-batch."""
        # The draws depend on this name, so changing it changes the results of every run.
        name = f"pieces and hidden tokens at {self.order.epoch}, {self.order.position}"
        draws = generator(self.seed, name)
        rows = []
        for index in self.order.take(self.config.rows):
            pieces = self.texts.pieces[index]
            rows.append((index, pieces[int(torch.randint(len(pieces), (), generator=draws))]))
        rows.sort(key=lambda row: len(row[1]), reverse=True)
        size = -(-len(rows) // self.config.accumulate)
        micro_batches = [
            self._micro_batch(rows[start : start + size]) for start in range(0, len(rows), size)
        ]
        return Batch([self._mask_tokens(micro, draws) for micro in micro_batches], len(rows))

    def _mask_tokens(self, batch: LabelMicroBatch, draws: torch.Generator) -> LabelMicroBatch:
        """Replace a share of the tokens with <mask>, but neither <cls> nor padding."""
        if not self.config.token_dropout:
            return batch
        draw = torch.rand(batch.token_ids.shape, generator=draws).to(self.device)
        is_masked = draw < self.config.token_dropout
        is_masked &= batch.token_ids != self.encoder_tokens.cls
        is_masked &= batch.token_ids != self.encoder_tokens.pad
        token_ids = batch.token_ids.masked_fill(is_masked, self.encoder_tokens.mask)
        return replace(batch, token_ids=token_ids)

    def _micro_batch(self, rows: Sequence[tuple[int, list[int]]]) -> LabelMicroBatch:
        """Pad (index of the text, token ids of a piece) to one length."""
        longest = max(len(ids) for _, ids in rows)
        pad = self.encoder_tokens.pad
        padded = [[*ids, *[pad] * (longest - len(ids))] for _, ids in rows]
        return LabelMicroBatch(
            token_ids=torch.tensor(padded, device=self.device),
            lengths=torch.tensor([len(ids) for _, ids in rows], device=self.device),
            labels=torch.tensor([self.texts.labels[i] for i, _ in rows], device=self.device),
            text=torch.tensor([index for index, _ in rows], device=self.device),
        )

    def all_pieces(self) -> Iterator[LabelMicroBatch]:
        """Yield every piece of every text once for validation, the longest first."""
        rows = [
            (index, piece) for index, pieces in enumerate(self.texts.pieces) for piece in pieces
        ]
        rows.sort(key=lambda row: len(row[1]), reverse=True)
        for start in range(0, len(rows), self.config.rows):
            yield self._micro_batch(rows[start : start + self.config.rows])

    def describe(self) -> dict[str, Any]:
        """Return counts and a hash of the texts."""
        return self.texts.describe()

    def state_dict(self) -> dict[str, int]:
        """Return epoch and position."""
        return self.order.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from a position that `state_dict` returned."""
        self.order.load_state_dict(state)
