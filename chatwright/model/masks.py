"""Who may look at whom, as values made once per forward pass.

A mask is None (everyone sees everything), CAUSAL (the fast path: position t sees 0..t of equally many keys), or a bool tensor
that broadcasts to (B, H, T, S) in which True means "may look". Every row must allow at least one key.
"""

from typing import Literal

import torch
from torch import Tensor

CAUSAL: Literal["causal"] = "causal"
Mask = Tensor | Literal["causal"] | None


def causal(query_positions: Tensor, n_keys: int) -> Tensor:
    """Key s is visible to the query at position p when s <= p. (B, T) -> (B, 1, T, S)"""
    keys = torch.arange(n_keys, device=query_positions.device)
    return (keys <= query_positions[..., None])[:, None]                    # (B, 1, T, S)


def padding(lengths: Tensor, n_keys: int) -> Tensor:
    """Only the first `lengths[b]` keys of row b exist. (B,) -> (B, 1, 1, S)"""
    keys = torch.arange(n_keys, device=lengths.device)
    return (keys < lengths[:, None])[:, None, None]                         # (B, 1, 1, S)


def documents(document_ids: Tensor) -> Tensor:
    """Causal, and never across a document's border: packing leaks nothing. (B, T) -> (B, 1, T, T)"""
    T = document_ids.shape[1]
    same = document_ids[:, :, None] == document_ids[:, None, :]             # (B, T, T)
    return (same & torch.ones(T, T, dtype=torch.bool, device=same.device).tril())[:, None]


def sliding(query_positions: Tensor, n_keys: int, window: int) -> Tensor:
    """Causal, and at most the last `window` keys, the query's own included. (B, T) -> (B, 1, T, S)"""
    keys = torch.arange(n_keys, device=query_positions.device)
    ages = query_positions[..., None] - keys                                # (B, T, S)
    return ((ages >= 0) & (ages < window))[:, None]


def explicit(mask: Mask, n_queries: int, n_keys: int, device: torch.device) -> Tensor | None:
    """The same mask as a tensor (or None), for code that computes the weights itself."""
    if isinstance(mask, str):
        assert n_queries == n_keys, "the CAUSAL fast path is for equally many queries and keys; use masks.causal with a cache"
        return torch.ones(n_queries, n_keys, dtype=torch.bool, device=device).tril()[None, None]
    return mask
