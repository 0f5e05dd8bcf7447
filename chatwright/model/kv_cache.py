"""Keys and values of tokens already read, so that the next token need not recompute them.

In a causal decoder a key or value depends only on its own token and those before it, so keeping it is exact: tests hold a cached
forward equal to one without a cache. Cost: 2 x n_layer x K x Dh numbers per token.
"""

from typing import Protocol

import torch
from torch import Tensor


class LayerCache(Protocol):
    """What one attention layer needs: take new keys and values, give back all of them."""

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K, T, Dh) twice -> (B, K, S, Dh) twice, the new ones at their positions."""
        ...


class KVCache(Protocol):
    def layer(self, index: int) -> LayerCache: ...


class DenseCache:
    """One fixed block per row: (n_layer, B, K, capacity, Dh). `start_step` says which rows and positions the next tokens take."""

    def __init__(self, n_layer: int, n_row: int, n_kv_head: int, head_dim: int, capacity: int,
                 dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> None:
        # One place more than the capacity: padding tokens of ragged steps write there and nobody may look at it.
        self.capacity = capacity
        shape = (n_layer, n_row, n_kv_head, capacity + 1, head_dim)
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self._rows: Tensor | None = None
        self._positions: Tensor | None = None

    def start_step(self, rows: Tensor, positions: Tensor) -> None:
        """rows (B,), positions (B, T) of the tokens about to be read; a position of -1 is padding."""
        self._rows = rows[:, None]
        self._positions = torch.where(positions < 0, self.capacity, positions)

    def layer(self, index: int) -> "DenseLayerCache":
        assert self._rows is not None and self._positions is not None, "call start_step before the forward pass"
        return DenseLayerCache(self.keys[index], self.values[index], self._rows, self._positions, self.capacity)


class DenseLayerCache:
    def __init__(self, keys: Tensor, values: Tensor, rows: Tensor, positions: Tensor, capacity: int) -> None:
        self.keys, self.values, self.rows, self.positions, self.capacity = keys, values, rows, positions, capacity

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        self.keys[self.rows, :, self.positions] = keys.transpose(1, 2)      # (B, T, K, Dh) into (rows, positions)
        self.values[self.rows, :, self.positions] = values.transpose(1, 2)
        rows = self.rows[:, 0]
        return self.keys[rows, :, : self.capacity], self.values[rows, :, : self.capacity]
