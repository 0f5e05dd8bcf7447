"""KV cache: keys and values of tokens already read, so that only new tokens are computed.

In a causal decoder, a key or value depends only on its token and those before it, so a cached
forward pass equals one without a cache. Memory: 2 x n_layer x K x Dh numbers per token.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class LayerCache(Protocol):
    """The cache of one attention layer."""

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store new keys and values; return all. Twice (B, K, T, Dh) -> twice (B, K, S, Dh)."""
        ...


class KVCache(Protocol):
    """The cache of a whole model, as its forward pass uses it."""

    def layer(self, index: int) -> LayerCache:
        """Return the cache of one layer."""
        ...

    def predecessors(self, token_ids: Tensor, reach: int, no_token: int) -> Tensor:
        """Store the new tokens; return the `reach` tokens before each. (B, T) -> (B, T, reach)."""
        ...


class DenseCache:
    """One slot of fixed length per sequence.

    Keys and values are (n_layer, n_slot, K, capacity + 1, Dh).
    Call `start_step` before each forward pass to set the slots and positions of the new tokens.
    """

    def __init__(
        self,
        n_layer: int,
        n_slot: int,
        n_kv_head: int,
        head_dim: int,
        capacity: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        """Allocate the cache, all zeros; `capacity` is the length of a slot in tokens."""
        # One position more than the capacity: padding is written there, and no query reads it.
        self.capacity = capacity
        shape = (n_layer, n_slot, n_kv_head, capacity + 1, head_dim)
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.token_ids = torch.zeros(n_slot, capacity + 1, dtype=torch.long, device=device)
        self._step: _Step | None = None

    def start_step(self, slots: Tensor, positions: Tensor, n_keys: int | None = None) -> None:
        """Set the slot and the positions of each row's new tokens.

        Args:
            slots: (B,), the slot of each row of the batch.
            positions: (B, T), the positions of the new tokens; -1 is padding.
            n_keys: Number of keys that `append` returns. Default: the whole capacity.
        """
        first = int(slots[0])
        positions = torch.where(positions < 0, self.capacity, positions)
        # Consecutive slots are read as a view; other slots are copied into one tensor per layer.
        is_range = slots.tolist() == list(range(first, first + len(slots)))
        selection = slice(first, first + len(slots)) if is_range else slots
        self._step = _Step(slots[:, None], positions, selection, n_keys or self.capacity)

    def layer(self, index: int) -> "DenseLayerCache":
        """Return the cache of one layer for the current step."""
        assert self._step is not None, "call start_step before the forward pass"
        return DenseLayerCache(self.keys[index], self.values[index], self._step)

    def predecessors(self, token_ids: Tensor, reach: int, no_token: int) -> Tensor:
        """Store the new tokens; return the `reach` tokens before each. (B, T) -> (B, T, reach)."""
        assert self._step is not None, "call start_step before the forward pass"
        slots, positions = self._step.slots, self._step.positions
        self.token_ids[slots, positions] = token_ids
        lags = torch.arange(1, reach + 1, device=positions.device)
        earlier = positions[..., None] - lags  # (B, T, reach)
        stored = self.token_ids[slots[..., None], earlier.clamp(min=0)]
        return torch.where(earlier >= 0, stored, no_token)

    def select(self, slots: Tensor, n_token: int) -> None:
        """Copy the first `n_token` positions of slot `slots[i]` into slot i; slots is (N,)."""
        for cached in (self.keys, self.values):
            cached[:, : len(slots), :, :n_token] = cached[:, slots, :, :n_token]
        self.token_ids[: len(slots), :n_token] = self.token_ids[slots, :n_token]

    def clear_slot(self, slot: int) -> None:
        """Set a slot to zeros. A NaN left in it would spread: masked values are multiplied by 0."""
        self.keys[:, slot].zero_()
        self.values[:, slot].zero_()


@dataclass(frozen=True)
class _Step:
    slots: Tensor  # (B, 1)
    positions: Tensor  # (B, T)
    selection: slice | Tensor  # the slots as an index for reading
    n_keys: int


class DenseLayerCache:
    """One layer of a `DenseCache` in one step."""

    def __init__(self, keys: Tensor, values: Tensor, step: _Step) -> None:
        """Take the layer's tensors (n_slot, K, capacity + 1, Dh) and the current step."""
        self.keys = keys
        self.values = values
        self.step = step

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store new keys and values; return all. Twice (B, K, T, Dh) -> twice (B, K, S, Dh)."""
        step = self.step
        self.keys[step.slots, :, step.positions] = keys.transpose(1, 2)  # (B, T, K, Dh)
        self.values[step.slots, :, step.positions] = values.transpose(1, 2)
        all_keys = self.keys[step.selection, :, : step.n_keys]
        all_values = self.values[step.selection, :, : step.n_keys]
        return all_keys, all_values
