"""Batches of single replies that were judged good or bad."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from chatwright.data.encoded.rated_replies import EncodedReplies
from chatwright.training.batches.preferences import (
    LengthSortedBatches,
    PreferenceBatchConfig,
    pad_rows,
)
from chatwright.training.stage import MicroBatch


@dataclass(frozen=True)
class RatedMicroBatch:
    """B conversations that end with a rated reply.

    texts holds the conversations and mismatched the same prompts, each with the reply to another
    prompt. indices (B,) are those of the replies in the data, and is_good (B,) their ratings.
    """

    texts: MicroBatch
    mismatched: MicroBatch
    indices: Tensor
    is_good: Tensor


class RatedReplyBatches(LengthSortedBatches[RatedMicroBatch]):
    """Rated replies in batches of `config.rows`, in a new order each epoch."""

    def __init__(
        self,
        replies: EncodedReplies,
        pad: int,
        config: PreferenceBatchConfig,
        seed: int,
        device: torch.device,
    ) -> None:
        super().__init__(len(replies), config, seed, device)
        self.replies = replies
        self.pad = pad
        self.is_good = torch.tensor(replies.is_good, device=device)

    def length(self, index: int) -> int:
        """Return the length of a row in tokens."""
        row = (self.replies.conversations[index], self.replies.mismatched[index])
        return max(len(rendered.token_ids) for rendered in row)

    def micro_batch(self, indices: Sequence[int]) -> RatedMicroBatch:
        """Return the rows with these indices."""
        texts = [self.replies.conversations[i] for i in indices]
        mismatched = [self.replies.mismatched[i] for i in indices]
        positions = torch.tensor(indices, device=self.device)
        return RatedMicroBatch(
            pad_rows(texts, self.pad, self.device),
            pad_rows(mismatched, self.pad, self.device),
            positions,
            self.is_good[positions],
        )

    def describe(self) -> dict[str, Any]:
        """Return counts and a hash of the replies."""
        return self.replies.describe()
