"""Batches of sentence pairs of about one length, so that little is padded: every pair once an epoch, in new company each epoch.

A step is at most `tokens` numbers of the longer side, padding included, in `accumulate` micro-batches of different lengths: a step of
short sentences alone would pull the weights another way than the next. Which pairs come next is a pure function of (seed, epoch, position).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from chatwright.data.encoded_pairs import EncodedPairs
from chatwright.devices import generator
from chatwright.training.cross_entropy import IGNORED
from chatwright.training.stage import Batch

JITTER = 2.0  # tokens by which a source counts as longer at most


@dataclass(frozen=True, kw_only=True)
class PairBatchConfig:
    """Settings of the batches of a translation stage."""

    tokens: int = 4096
    """Most tokens in one step, padding included, counted on the longer side of the pairs."""
    accumulate: int = 4
    """Micro-batches in one step; each holds sentences of about one length, which saves padding."""

    def __post_init__(self) -> None:
        for name in ("tokens", "accumulate"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least 1")


@dataclass(frozen=True)
class PairMicroBatch:
    """B pairs side by side. source_ids (B, S) with their lengths (B,); target_ids (B, T) in, targets (B, T) out, -100 where padded."""

    source_ids: Tensor
    source_lengths: Tensor
    target_ids: Tensor
    targets: Tensor


class PairBatches:
    def __init__(
        self,
        pairs: EncodedPairs,
        pad: int,
        config: PairBatchConfig,
        seed: int,
        device: torch.device,
    ) -> None:
        self.pairs, self.pad, self.config, self.seed, self.device = pairs, pad, config, seed, device
        self.lengths = torch.tensor(
            [
                [len(target) - 1, len(source)]
                for source, target in zip(pairs.sources, pairs.targets, strict=True)
            ]
        )
        self.limit = max(1, config.tokens // config.accumulate)
        if (longest := int(self.lengths.max())) > self.limit:
            raise ValueError(
                f"batches.tokens ({config.tokens}) in {config.accumulate} micro-batches leaves {self.limit} tokens for each, and the "
                f"longest sentence has {longest}: raise batches.tokens, or lower batches.accumulate or model.context_length"
            )
        self.epoch = self.position = 0  # position counts micro-batches
        self._order: tuple[int, list[list[int]]] | None = None

    def next_batch(self) -> Batch[PairMicroBatch]:
        """The rest of an epoch that is too small for a step makes a smaller one."""
        groups = self._groups(self.epoch)
        here = groups[self.position : self.position + self.config.accumulate]
        self.position += len(here)
        if self.position == len(groups):
            self.epoch, self.position = self.epoch + 1, 0
        micro_batches = [self.micro_batch(group) for group in here]
        return Batch(micro_batches, sum(int(self.lengths[group, 0].sum()) for group in here))

    def _groups(self, epoch: int) -> list[list[int]]:
        """The epoch's micro-batches as indices of pairs."""
        if self._order is None or self._order[0] != epoch:
            draws = generator(self.seed, f"order of epoch {epoch}")
            groups = list(self._by_length(JITTER * torch.rand(len(self.pairs), generator=draws)))
            self._order = (
                epoch,
                [groups[i] for i in torch.randperm(len(groups), generator=draws).tolist()],
            )
        return self._order[1]

    def _by_length(self, jitter: Tensor) -> Iterator[list[int]]:
        """Neighbours by target length, then by source length and a little chance: equal company every epoch would teach what stands together."""
        targets, sources = self.lengths.unbind(1)
        keys = targets + (sources + jitter) / (sources.max() + JITTER + 1)
        group: list[int] = []
        longest = 0
        for index in keys.argsort(stable=True).tolist():
            longest = max(longest, int(self.lengths[index].max()))
            if (len(group) + 1) * longest > self.limit:
                yield group
                group, longest = [], int(self.lengths[index].max())
            group.append(index)
        if group:
            yield group

    def micro_batch(self, indices: Sequence[int]) -> PairMicroBatch:
        sources, targets = (
            [self.pairs.sources[i] for i in indices],
            [self.pairs.targets[i] for i in indices],
        )
        return PairMicroBatch(
            self._padded(sources, self.pad),
            torch.tensor([len(ids) for ids in sources], device=self.device),
            self._padded([ids[:-1] for ids in targets], self.pad),
            self._padded([ids[1:] for ids in targets], IGNORED),
        )

    def _padded(self, rows: Sequence[Sequence[int]], filler: int) -> Tensor:
        longest = max(map(len, rows))
        return torch.tensor(
            [[*row, *[filler] * (longest - len(row))] for row in rows], device=self.device
        )

    def all_pairs(self) -> Iterator[PairMicroBatch]:
        """Every pair once, in an order that never changes: what validation looks at."""
        for group in self._by_length(torch.zeros(len(self.pairs))):
            yield self.micro_batch(group)

    def describe(self) -> dict[str, Any]:
        return self.pairs.describe()

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.epoch, self.position = state["epoch"], state["position"]
