"""Keys and values of tokens already read, so that the next token need not recompute them.

In a causal decoder a key or value depends only on its own token and those before it, so keeping it is exact: tests hold a cached
forward equal to one without a cache. Cost: 2 x n_layer x K x Dh numbers per token.
"""

from dataclasses import dataclass
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

    def predecessors(self, token_ids: Tensor, reach: int, none: int) -> Tensor:
        """Keep the new tokens, and give back the `reach` tokens before each. (B, T) -> (B, T, reach)."""
        ...


class DenseCache:
    """One fixed block per row: (n_layer, B, K, capacity, Dh). `start_step` says which rows and positions the next tokens take."""

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
        # One place more than the capacity: padding tokens of ragged steps write there and nobody may look at it.
        self.capacity = capacity
        shape = (n_layer, n_slot, n_kv_head, capacity + 1, head_dim)
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.token_ids = torch.zeros(n_slot, capacity + 1, dtype=torch.long, device=device)
        self._step: _Step | None = None

    def start_step(self, rows: Tensor, positions: Tensor, n_keys: int | None = None) -> None:
        """rows (B,), positions (B, T) of the tokens about to be read; a position of -1 is padding. n_keys is how many come back."""
        first, places = int(rows[0]), torch.where(positions < 0, self.capacity, positions)
        # Neighbouring rows come back as a view; scattered ones have to be copied together, in every layer.
        is_range = rows.tolist() == list(range(first, first + len(rows)))
        self._step = _Step(
            rows[:, None],
            places,
            slice(first, first + len(rows)) if is_range else rows,
            n_keys or self.capacity,
        )

    def layer(self, index: int) -> "DenseLayerCache":
        assert self._step is not None, "call start_step before the forward pass"
        return DenseLayerCache(self.keys[index], self.values[index], self._step)

    def predecessors(self, token_ids: Tensor, reach: int, none: int) -> Tensor:
        assert self._step is not None, "call start_step before the forward pass"
        rows, places = self._step.rows, self._step.places
        self.token_ids[rows, places] = token_ids
        back = places[..., None] - torch.arange(1, reach + 1, device=places.device)  # (B, T, reach)
        return torch.where(back >= 0, self.token_ids[rows[..., None], back.clamp(min=0)], none)

    def select(self, rows: Tensor, n_token: int) -> None:
        """Row i goes on from what row rows[i] holds, its first n_token places. (N,), N at most the number of rows."""
        for held in (self.keys, self.values):
            held[:, : len(rows), :, :n_token] = held[:, rows, :, :n_token]
        self.token_ids[: len(rows), :n_token] = self.token_ids[rows, :n_token]

    def clear_row(self, row: int) -> None:
        """Forget a row. What a mask hides is still multiplied by zero, and zero times a stale NaN is NaN."""
        self.keys[:, row].zero_()
        self.values[:, row].zero_()


@dataclass(frozen=True)
class _Step:
    rows: Tensor  # (B, 1)
    places: Tensor  # (B, T)
    selection: slice | Tensor  # the same rows, for reading
    n_keys: int


class DenseLayerCache:
    def __init__(self, keys: Tensor, values: Tensor, step: _Step) -> None:
        self.keys, self.values, self.step = keys, values, step

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        step = self.step
        self.keys[step.rows, :, step.places] = keys.transpose(
            1, 2
        )  # (B, T, K, Dh) into (rows, places)
        self.values[step.rows, :, step.places] = values.transpose(1, 2)
        return self.keys[step.selection, :, : step.n_keys], self.values[
            step.selection, :, : step.n_keys
        ]
