"""Batches of preferences: pairs of conversations, padded to their longest one."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from chatwright.data.batches import Shuffled
from chatwright.data.encoded.preferences import EncodedPreferences
from chatwright.tokenizer.chat_template import Rendered
from chatwright.training.cross_entropy import IGNORED
from chatwright.training.setting_checks import require_setting
from chatwright.training.stage import Batch, MicroBatch

Micro = TypeVar("Micro")


@dataclass(frozen=True, kw_only=True)
class PreferenceBatchConfig:
    """The shape of one optimizer step."""

    rows: int = 16
    """Pairs in one step; with loss=kto, single replies."""
    accumulate: int = 2
    """Micro-batches in one step; each holds rows of similar length, which saves padding."""

    def __post_init__(self) -> None:
        require = partial(require_setting, self, "batches")
        require("rows", self.rows >= 1, "must be at least 1")
        require("accumulate", self.accumulate >= 1, "must be at least 1")


@dataclass(frozen=True)
class PreferenceMicroBatch:
    """B pairs. The 2 B rows of `texts` are first the chosen, then the rejected conversations.

    pairs (B,) are the indices of the pairs in the data.
    """

    texts: MicroBatch
    pairs: Tensor


class LengthSortedBatches(ABC, Generic[Micro]):
    """Rows in batches of `config.rows`, in a new order each epoch; each micro-batch of like length.

    Rows are known by their index in the data.
    """

    def __init__(
        self, n: int, config: PreferenceBatchConfig, seed: int, device: torch.device
    ) -> None:
        self.config = config
        self.device = device
        self.order = Shuffled(n, seed)

    @abstractmethod
    def length(self, index: int) -> int:
        """Return the length of a row in tokens."""

    @abstractmethod
    def micro_batch(self, indices: Sequence[int]) -> Micro:
        """Return the rows with these indices."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return counts and a hash of the data."""

    def next_batch(self) -> Batch[Micro]:
        """Return the next rows, the longest ones in the first micro-batch."""
        indices = self.order.take(self.config.rows)
        return Batch(list(self._micro_batches(indices, len(indices))), len(indices))

    def all_rows(self) -> Iterator[Micro]:
        """Yield every row once, the longest first."""
        yield from self._micro_batches(range(self.order.n), self.config.rows)

    def _micro_batches(self, indices: Sequence[int], n_in_step: int) -> Iterator[Micro]:
        """Yield the rows in parts, `config.accumulate` parts for `n_in_step` rows."""
        longest_first = sorted(indices, key=self.length, reverse=True)
        size = -(-n_in_step // self.config.accumulate)
        for start in range(0, len(longest_first), size):
            yield self.micro_batch(longest_first[start : start + size])

    def state_dict(self) -> dict[str, int]:
        """Return epoch and position."""
        return self.order.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from a position that `state_dict` returned."""
        self.order.load_state_dict(state)


class PreferenceBatches(LengthSortedBatches[PreferenceMicroBatch]):
    """Preferences in batches of `config.rows`, in a new order each epoch."""

    def __init__(
        self,
        preferences: EncodedPreferences,
        pad: int,
        config: PreferenceBatchConfig,
        seed: int,
        device: torch.device,
    ) -> None:
        super().__init__(len(preferences), config, seed, device)
        self.preferences = preferences
        self.pad = pad

    def length(self, index: int) -> int:
        """Return the length of the longer conversation of a pair, in tokens."""
        pair = (self.preferences.chosen[index], self.preferences.rejected[index])
        return max(len(rendered.token_ids) for rendered in pair)

    def micro_batch(self, indices: Sequence[int]) -> PreferenceMicroBatch:
        """Return the pairs with these indices."""
        rows = [self.preferences.chosen[i] for i in indices]
        rows += [self.preferences.rejected[i] for i in indices]
        pairs = torch.tensor(indices, device=self.device)
        return PreferenceMicroBatch(pad_rows(rows, self.pad, self.device), pairs)

    def describe(self) -> dict[str, Any]:
        """Return counts and a hash of the preferences."""
        return self.preferences.describe()


def pad_rows(rows: Sequence[Rendered], pad: int, device: torch.device) -> MicroBatch:
    """Return one conversation per row, padded at the end; targets are the next tokens with loss.

    A causal model needs no mask for padding that follows the text.
    """
    length = max(len(rendered.token_ids) for rendered in rows) - 1
    token_ids = torch.full((len(rows), length), pad)
    targets = torch.full((len(rows), length), IGNORED)
    for row, rendered in enumerate(rows):
        ids = torch.tensor(rendered.token_ids)
        has_loss = torch.tensor(rendered.loss_mask[1:])
        token_ids[row, : len(ids) - 1] = ids[:-1]
        targets[row, : len(ids) - 1] = torch.where(has_loss, ids[1:], IGNORED)
    return MicroBatch(token_ids.to(device), targets.to(device))
