"""Batches of sentence pairs of similar length, so that little is padded.

An epoch holds every pair once; the pairs of a micro-batch change from epoch to epoch. A step holds
at most `tokens` token ids of the longer side, padding included. Its `accumulate` micro-batches have
different lengths, because a step of short sentences alone would have a biased gradient. The order
depends only on (seed, epoch, position), so a resumed run continues with the same pairs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from chatwright.data.encoded.pairs import EncodedPairs
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.training.cross_entropy import IGNORED
from chatwright.training.stage import Batch

JITTER = 2.0
"""Largest random number that is added to a source's length before sorting by length."""


@dataclass(frozen=True, kw_only=True)
class PairBatchConfig:
    """The shape of one optimizer step."""

    tokens: int = 4096
    """Largest number of tokens in one step, padding included, on the longer side of its pairs."""
    accumulate: int = 4
    """Micro-batches in one step; each holds sentences of similar length, which saves padding."""

    def __post_init__(self) -> None:
        for name in ("tokens", "accumulate"):
            value = getattr(self, name)
            if value < 1:
                field = f"batches.{name}"
                raise InputError(
                    f"{field} is {value}; it must be at least 1.", field=field, value=value
                )


@dataclass(frozen=True)
class PairMicroBatch:
    """B sentence pairs, padded to one length on each side.

    source_ids (B, S) with source_lengths (B,); target_ids (B, T) are the decoder's inputs and
    targets (B, T) the ids that follow them, -100 where padded.
    """

    source_ids: Tensor
    source_lengths: Tensor
    target_ids: Tensor
    targets: Tensor


class PairBatches:
    """Sentence pairs in batches of at most `config.tokens` token ids."""

    def __init__(
        self,
        pairs: EncodedPairs,
        pad: int,
        config: PairBatchConfig,
        seed: int,
        device: torch.device,
    ) -> None:
        """Measure the lengths of the pairs.

        Raises:
            InputError: The longest sentence does not fit into a micro-batch.
        """
        self.pairs = pairs
        self.pad = pad
        self.config = config
        self.seed = seed
        self.device = device
        lengths = [
            (len(target) - 1, len(source))
            for source, target in zip(pairs.sources, pairs.targets, strict=True)
        ]
        self.lengths = torch.tensor(lengths)
        """Number of positions of the target and of the source of every pair. (N, 2)"""
        self.limit = max(1, config.tokens // config.accumulate)
        """Largest number of token ids in a micro-batch, on the longer side of its pairs."""
        self._require_room(int(self.lengths.max()))
        self.epoch = 0
        self.position = 0
        """Micro-batches taken in this epoch."""
        self._cached_epoch = -1
        self._cached_groups: list[list[int]] = []

    def _require_room(self, longest: int) -> None:
        if longest > self.limit:
            config = self.config
            raise InputError(
                f"batches.tokens={config.tokens} in {config.accumulate} micro-batches leaves "
                f"{self.limit} tokens for each, but the longest sentence has {longest}.",
                remedy="Raise batches.tokens, or lower batches.accumulate or model.context_length.",
                field="batches.tokens",
                value=config.tokens,
            )

    def next_batch(self) -> Batch[PairMicroBatch]:
        """Return the next micro-batches; the last step of an epoch may be smaller."""
        groups = self._groups(self.epoch)
        step = groups[self.position : self.position + self.config.accumulate]
        self.position += len(step)
        if self.position == len(groups):
            self.epoch += 1
            self.position = 0
        micro_batches = [self.micro_batch(group) for group in step]
        return Batch(micro_batches, sum(int(self.lengths[group, 0].sum()) for group in step))

    def _groups(self, epoch: int) -> list[list[int]]:
        """Return the micro-batches of an epoch as indices of pairs."""
        if self._cached_epoch != epoch:
            draws = generator(self.seed, f"order of epoch {epoch}")
            groups = list(self._by_length(JITTER * torch.rand(len(self.pairs), generator=draws)))
            order = torch.randperm(len(groups), generator=draws).tolist()
            self._cached_groups = [groups[i] for i in order]
            self._cached_epoch = epoch
        return self._cached_groups

    def _by_length(self, jitter: Tensor) -> Iterator[list[int]]:
        """Yield groups of pairs of similar length, sorted by target length, then source length.

        Without `jitter` (N,) the same pairs would share a micro-batch in every epoch, and the
        gradients of different epochs would be correlated.
        """
        targets, sources = self.lengths.unbind(1)
        keys = targets + (sources + jitter) / (sources.max() + JITTER + 1)
        group: list[int] = []
        longest = 0
        for index in keys.argsort(stable=True).tolist():
            length = int(self.lengths[index].max())
            longest = max(longest, length)
            if (len(group) + 1) * longest > self.limit:
                yield group
                group = []
                longest = length
            group.append(index)
        if group:
            yield group

    def micro_batch(self, indices: Sequence[int]) -> PairMicroBatch:
        """Return the pairs at `indices`, padded to one length."""
        sources = [self.pairs.sources[i] for i in indices]
        targets = [self.pairs.targets[i] for i in indices]
        lengths = [len(ids) for ids in sources]
        return PairMicroBatch(
            source_ids=self._padded(sources, self.pad),
            source_lengths=torch.tensor(lengths, device=self.device),
            target_ids=self._padded([ids[:-1] for ids in targets], self.pad),
            targets=self._padded([ids[1:] for ids in targets], IGNORED),
        )

    def _padded(self, rows: Sequence[Sequence[int]], filler: int) -> Tensor:
        longest = max(map(len, rows))
        padded = [[*row, *[filler] * (longest - len(row))] for row in rows]
        return torch.tensor(padded, device=self.device)

    def all_pairs(self) -> Iterator[PairMicroBatch]:
        """Yield every pair once for validation, in an order that never changes."""
        for group in self._by_length(torch.zeros(len(self.pairs))):
            yield self.micro_batch(group)

    def describe(self) -> dict[str, Any]:
        """Return counts and a hash of the pairs."""
        return self.pairs.describe()

    def state_dict(self) -> dict[str, int]:
        """Return epoch and position."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from a position that `state_dict` returned."""
        self.epoch = state["epoch"]
        self.position = state["position"]
