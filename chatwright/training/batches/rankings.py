"""Batches of rankings: all replies of a ranking in one micro-batch, padded to the longest one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from chatwright.data.batches import Shuffled
from chatwright.data.encoded.rankings import EncodedRankings
from chatwright.training.setting_checks import require_setting
from chatwright.training.stage import Batch


@dataclass(frozen=True, kw_only=True)
class RankingBatchConfig:
    """The shape of one optimizer step."""

    rows: int = 16
    """Rankings in one step; a pair of replies is a ranking of two."""
    accumulate: int = 2
    """Micro-batches in one step; each holds rankings of similar length, which saves padding."""

    def __post_init__(self) -> None:
        require = partial(require_setting, self, "batches")
        require("rows", self.rows >= 1, "must be at least 1")
        require("accumulate", self.accumulate >= 1, "must be at least 1")


@dataclass(frozen=True)
class RankingMicroBatch:
    """B rankings of at most K replies, which are N conversations together.

    token_ids (N, T); lengths (N,) without padding; replies (B, K) are rows of token_ids; ranks
    (B, K), 0 where a ranking has fewer than K replies; rankings (B,) are indices in the data.
    """

    token_ids: Tensor
    lengths: Tensor
    replies: Tensor
    ranks: Tensor
    rankings: Tensor


class RankingBatches:
    """Rankings in batches of `config.rows`, in a new order each epoch."""

    def __init__(
        self,
        data: EncodedRankings,
        pad: int,
        config: RankingBatchConfig,
        seed: int,
        device: torch.device,
    ) -> None:
        self.data = data
        self.pad = pad
        self.config = config
        self.device = device
        self.order = Shuffled(len(data), seed)

    def next_batch(self) -> Batch[RankingMicroBatch]:
        """Return the next rankings, the longest ones in the first micro-batch."""
        indices = sorted(self.order.take(self.config.rows), key=self._length, reverse=True)
        size = -(-len(indices) // self.config.accumulate)
        return Batch(list(self._micro_batches(indices, size)), len(indices))

    def rankings_at(self, chosen: Sequence[int]) -> Iterator[RankingMicroBatch]:
        """Yield the rankings with these indices, the longest first."""
        indices = sorted(chosen, key=self._length, reverse=True)
        size = -(-self.config.rows // self.config.accumulate)
        yield from self._micro_batches(indices, size)

    def _length(self, index: int) -> int:
        return max(len(reply) for reply in self.data.rankings[index].replies)

    def _micro_batches(self, indices: Sequence[int], size: int) -> Iterator[RankingMicroBatch]:
        for start in range(0, len(indices), size):
            yield self._micro_batch(indices[start : start + size])

    def _micro_batch(self, indices: Sequence[int]) -> RankingMicroBatch:
        rankings = [self.data.rankings[i] for i in indices]
        rows = [reply for ranking in rankings for reply in ranking.replies]
        most = max(len(ranking.ranks) for ranking in rankings)
        replies = torch.zeros(len(rankings), most, dtype=torch.long)
        ranks = torch.zeros_like(replies)
        n_row = 0
        for position, ranking in enumerate(rankings):
            n_reply = len(ranking.ranks)
            replies[position, :n_reply] = torch.arange(n_row, n_row + n_reply)
            ranks[position, :n_reply] = torch.tensor(ranking.ranks)
            n_row += n_reply
        token_ids, lengths = pad_texts(rows, self.pad, self.device)
        return RankingMicroBatch(
            token_ids,
            lengths,
            replies.to(self.device),
            ranks.to(self.device),
            torch.tensor(indices, device=self.device),
        )

    def describe(self) -> dict[str, Any]:
        """Return counts and a hash of the rankings."""
        return self.data.describe()

    def state_dict(self) -> dict[str, int]:
        """Return epoch and position."""
        return self.order.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from a position that `state_dict` returned."""
        self.order.load_state_dict(state)


def pad_texts(
    rows: Sequence[Sequence[int]], pad: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return texts as (token ids (N, T), lengths (N,)), padded at the end."""
    lengths = torch.tensor([len(row) for row in rows])
    token_ids = torch.full((len(rows), int(lengths.max())), pad)
    for index, row in enumerate(rows):
        token_ids[index, : len(row)] = torch.tensor(row)
    return token_ids.to(device), lengths.to(device)
