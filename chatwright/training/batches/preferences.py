"""Batches of preferences: pairs of conversations, padded to their longest one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from chatwright.data.batches import Shuffled
from chatwright.data.encoded.preferences import EncodedPreferences
from chatwright.tokenizer.chat_template import Rendered
from chatwright.training.cross_entropy import IGNORED
from chatwright.training.setting_checks import require_setting
from chatwright.training.stage import Batch, MicroBatch


@dataclass(frozen=True, kw_only=True)
class PreferenceBatchConfig:
    """The shape of one optimizer step."""

    rows: int = 16
    """Pairs in one step."""
    accumulate: int = 2
    """Micro-batches in one step; each holds pairs of similar length, which saves padding."""

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


class PreferenceBatches:
    """Preferences in batches of `config.rows`, in a new order each epoch."""

    def __init__(
        self,
        preferences: EncodedPreferences,
        pad: int,
        config: PreferenceBatchConfig,
        seed: int,
        device: torch.device,
    ) -> None:
        self.preferences = preferences
        self.pad = pad
        self.config = config
        self.device = device
        self.order = Shuffled(len(preferences), seed)

    def next_batch(self) -> Batch[PreferenceMicroBatch]:
        """Return the next pairs, the longest ones in the first micro-batch."""
        indices = sorted(self.order.take(self.config.rows), key=self._length, reverse=True)
        size = -(-len(indices) // self.config.accumulate)
        return Batch(list(self._micro_batches(indices, size)), len(indices))

    def all_pairs(self) -> Iterator[PreferenceMicroBatch]:
        """Yield every pair once, the longest first."""
        indices = sorted(range(len(self.preferences)), key=self._length, reverse=True)
        size = -(-self.config.rows // self.config.accumulate)
        yield from self._micro_batches(indices, size)

    def _length(self, index: int) -> int:
        pair = (self.preferences.chosen[index], self.preferences.rejected[index])
        return max(len(rendered.token_ids) for rendered in pair)

    def _micro_batches(self, indices: Sequence[int], size: int) -> Iterator[PreferenceMicroBatch]:
        for start in range(0, len(indices), size):
            part = indices[start : start + size]
            rows = [self.preferences.chosen[i] for i in part]
            rows += [self.preferences.rejected[i] for i in part]
            pairs = torch.tensor(part, device=self.device)
            yield PreferenceMicroBatch(pad_rows(rows, self.pad, self.device), pairs)

    def describe(self) -> dict[str, Any]:
        """Return counts and a hash of the preferences."""
        return self.preferences.describe()

    def state_dict(self) -> dict[str, int]:
        """Return epoch and position."""
        return self.order.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from a position that `state_dict` returned."""
        self.order.load_state_dict(state)


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
