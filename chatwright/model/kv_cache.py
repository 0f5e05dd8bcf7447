"""KV cache: keys and values of tokens already read, so that only new tokens are computed.

In a causal decoder, a key or value depends only on its token and those before it, so a cached
forward pass equals one without a cache. Memory: 2 x n_layer x K x Dh numbers per token.
"""

from collections.abc import Iterator, Sequence
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
    """One slot per sequence; memory only for the slots and positions that were used.

    Keys and values of a layer are (slots, K, length + 1, Dh). Both sizes grow when a step needs
    more. A layer then gets new memory and the old numbers are copied, which costs about as much as
    reading them for one token. Growing does not change the numbers that `append` returns.

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
        block: int = 1,
    ) -> None:
        """Prepare an empty cache of at most `n_slot` slots, each of at most `capacity` tokens.

        Slots grow by whole blocks of `block` tokens.
        """
        self.n_slot = n_slot
        self.capacity = capacity
        self.block = block
        self._empty = torch.zeros(0, n_kv_head, 1, head_dim, dtype=dtype, device=device)
        self.keys = [self._empty] * n_layer
        self.values = [self._empty] * n_layer
        self.token_ids = torch.zeros(0, 1, dtype=torch.long, device=device)
        self._step: _Step | None = None

    @property
    def nbytes(self) -> int:
        """Memory of all keys and values now, in bytes."""
        return sum(cached.nbytes for cached in (*self.keys, *self.values))

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Layers, slots, key/value heads, tokens and head width of a full cache."""
        _, n_kv_head, _, head_dim = self._empty.shape
        return len(self.keys), self.n_slot, n_kv_head, self.capacity, head_dim

    @property
    def dtype(self) -> torch.dtype:
        """Type of the keys and values."""
        return self._empty.dtype

    @property
    def device(self) -> torch.device:
        """Device of the keys and values."""
        return self._empty.device

    def start_step(self, slots: Tensor, positions: Tensor, n_keys: int | None = None) -> None:
        """Set the slot and the positions of each row's new tokens.

        Args:
            slots: (B,), the slot of each row of the batch.
            positions: (B, T), the positions of the new tokens; -1 is padding.
            n_keys: Number of keys that `append` returns. Default: the whole capacity.
        """
        n_keys = n_keys or self.capacity
        numbers = slots.tolist()
        assert max(numbers) < self.n_slot, f"slots {numbers}: the cache has {self.n_slot}"
        assert n_keys <= self.capacity, f"{n_keys} keys: a slot holds {self.capacity}"
        # Consecutive slots are read as a view; other slots are copied into one tensor per layer.
        first = numbers[0]
        is_range = numbers == list(range(first, first + len(numbers)))
        selection = slice(first, first + len(numbers)) if is_range else slots
        n_slot = max(numbers) + 1
        for layers in (self.keys, self.values):
            for index, cached in enumerate(layers):
                layers[index] = _grown(cached, n_slot, n_keys, dim=2)
        _, n_kv_head, length, _ = self.keys[0].shape
        heads = torch.arange(n_kv_head, device=slots.device)[:, None]
        # Position -1 is the last one.
        rows = (slots[:, None, None] * n_kv_head + heads) * length + (positions % length)[:, None]
        self._step = _Step(slots[:, None], positions, rows, selection, n_keys, n_slot)

    def layer(self, index: int) -> "DenseLayerCache":
        """Return the cache of one layer for the current step."""
        assert self._step is not None, "call start_step before the forward pass"
        return DenseLayerCache(self.keys[index], self.values[index], self._step)

    def predecessors(self, token_ids: Tensor, reach: int, no_token: int) -> Tensor:
        """Store the new tokens; return the `reach` tokens before each. (B, T) -> (B, T, reach)."""
        assert self._step is not None, "call start_step before the forward pass"
        slots, positions = self._step.slots, self._step.positions
        self.token_ids = _grown(self.token_ids, self._step.n_slot, self._step.n_keys, dim=1)
        self.token_ids[slots, positions] = token_ids
        lags = torch.arange(1, reach + 1, device=positions.device)
        earlier = positions[..., None] - lags  # (B, T, reach)
        stored = self.token_ids[slots[..., None], earlier.clamp(min=0)]
        return torch.where(earlier >= 0, stored, no_token)

    def select(self, slots: Tensor, n_token: int) -> None:
        """Copy the first `n_token` positions of slot `slots[i]` into slot i; slots is (N,)."""
        for cached in (*self.keys, *self.values):
            if len(cached):  # nothing was written to an empty layer
                cached[: len(slots), :, :n_token] = cached[slots, :, :n_token]
        if len(self.token_ids):
            self.token_ids[: len(slots), :n_token] = self.token_ids[slots, :n_token]

    def copy_slot(self, source: int, target: int, n_token: int, n_slot: int) -> None:
        """Copy the first `n_token` positions of one slot into another of the first `n_slot`."""
        self._reserve(n_slot, n_token)
        for cached in (*self.keys, *self.values):
            cached[target, :, :n_token] = cached[source, :, :n_token]
        self.token_ids[target, :n_token] = self.token_ids[source, :n_token]

    def slot_parts(self, slot: int, start: int, end: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield views of each layer's keys and values at these positions, twice (K, T, Dh)."""
        for keys, values in zip(self.keys, self.values, strict=True):
            yield keys[slot, :, start:end], values[slot, :, start:end]

    def write_blocks(
        self,
        slot: int,
        layers: Sequence[tuple[Tensor, Tensor]],
        token_ids: Sequence[int],
        n_slot: int,
    ) -> None:
        """Write the beginning of a text into a slot of the first `n_slot`.

        Args:
            slot: The slot.
            layers: Keys and values of each layer, twice (blocks, K, tokens of a block, Dh).
            token_ids: The tokens.
            n_slot: Number of slots that need memory.
        """
        n_token = len(token_ids)
        self._reserve(n_slot, n_token)
        parts = zip(self.slot_parts(slot, 0, n_token), layers, strict=True)
        for (keys, values), (new_keys, new_values) in parts:
            for target, new in ((keys, new_keys), (values, new_values)):
                target.unflatten(1, (len(new), -1)).copy_(new.transpose(0, 1))
        self.token_ids[slot, :n_token] = torch.tensor(token_ids, device=self.device)

    def _reserve(self, n_slot: int, n_token: int) -> None:
        """Make room for so many slots and tokens, in whole blocks."""
        n_token = min(-(-n_token // self.block) * self.block, self.capacity)
        for layers in (self.keys, self.values):
            for index, cached in enumerate(layers):
                layers[index] = _grown(cached, n_slot, n_token, dim=2)
        self.token_ids = _grown(self.token_ids, n_slot, n_token, dim=1)

    def clear_slot(self, slot: int) -> None:
        """Set a slot to zeros. A NaN left in it would spread: masked values are multiplied by 0."""
        for cached in (*self.keys, *self.values):
            if slot < len(cached):
                cached[slot].zero_()
        if slot < len(self.token_ids):
            self.token_ids[slot].zero_()

    def shrink(self, n_slot: int) -> None:
        """Give the memory of all slots but the first `n_slot` back; the others keep theirs."""
        for layers in (self.keys, self.values):
            for index, cached in enumerate(layers):
                if len(cached) > n_slot:
                    layers[index] = cached[:n_slot].clone()
        if len(self.token_ids) > n_slot:
            self.token_ids = self.token_ids[:n_slot].clone()

    def clear(self) -> None:
        """Forget everything and give the memory back."""
        self.keys = [self._empty] * len(self.keys)
        self.values = [self._empty] * len(self.values)
        self.token_ids = self.token_ids[:0, :1].clone()


def _grown(cached: Tensor, n_slot: int, n_token: int, dim: int) -> Tensor:
    """Return `cached` if it has room for so many slots and tokens, else a larger copy.

    Slots are dimension 0 and tokens dimension `dim`, which has one position more. Padding is
    written there (position -1), and no query reads it.
    """
    n_old_slot, n_old_token = cached.shape[0], cached.shape[dim] - 1
    if n_slot <= n_old_slot and n_token <= n_old_token:
        return cached
    shape = list(cached.shape)
    shape[0], shape[dim] = max(n_slot, n_old_slot), max(n_token, n_old_token) + 1
    grown = cached.new_zeros(shape)
    grown[:n_old_slot].narrow(dim, 0, n_old_token).copy_(cached.narrow(dim, 0, n_old_token))
    return grown


@dataclass(frozen=True)
class _Step:
    slots: Tensor  # (B, 1)
    positions: Tensor  # (B, T)
    rows: Tensor  # (B, K, T), where the new vectors lie in a layer's tensor seen as rows of Dh
    selection: slice | Tensor  # the slots as an index for reading
    n_keys: int
    n_slot: int  # number of slots that need memory


class DenseLayerCache:
    """One layer of a `DenseCache` in one step."""

    def __init__(self, keys: Tensor, values: Tensor, step: _Step) -> None:
        """Take the layer's tensors (slots, K, length + 1, Dh) and the current step."""
        self.keys = keys
        self.values = values
        self.step = step

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store new keys and values; return all. Twice (B, K, T, Dh) -> twice (B, K, S, Dh)."""
        step = self.step
        head_dim = keys.shape[-1]
        for cached, new in ((self.keys, keys), (self.values, values)):
            # One index for all layers costs less than an index of slots and positions for each.
            cached.view(-1, head_dim).index_put_((step.rows,), new)
        all_keys = self.keys[step.selection, :, : step.n_keys]
        all_values = self.values[step.selection, :, : step.n_keys]
        return all_keys, all_values
