"""Who may look at whom, as values made once per forward pass.

A mask is None (everyone sees everything), CAUSAL (the fast path: position t sees 0..t of equally many keys), a bool tensor
that broadcasts to (B, H, T, S) in which True means "may look", the same as numbers to add to the scores (training), or a
TiledMask (for inference whose bits must not depend on the company a token is computed in). Every row must allow at
least one key.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

CAUSAL: Literal["causal"] = "causal"

# Attention in tiles of exactly so many query rows is the same kernel call for a row whatever stands beside it.
TILE_ROWS = 4
# torch's CPU kernel walks the keys in blocks of 512. Padding to whole blocks makes the last block like any other; 256 was tried
# and differed between 768 and 1,024 keys in 5 of 120 cases.
KEY_BLOCK = 512
LONGEST_KEPT_WEIGHTS = 1024


@dataclass(frozen=True)
class TiledMask:
    """Attention cut into equal pieces. Grouped query heads become rows of one tile, so one decoded token wastes little."""

    allowed: Tensor  # (B, 1, T, S): the same mask in one piece
    n_keys: int  # S, whole blocks
    bias: Tensor  # (B, 1 or K * n_tile, TILE_ROWS, S): 0 or -inf, added to the scores
    n_tile: int  # tiles per key/value head


Mask = Tensor | TiledMask | Literal["causal"] | None


def causal(query_positions: Tensor, n_keys: int) -> Tensor:
    """Key s is visible to the query at position p when s <= p. (B, T) -> (B, 1, T, S)."""
    keys = torch.arange(n_keys, device=query_positions.device)
    return (keys <= query_positions[..., None])[:, None]  # (B, 1, T, S)


def tiled(query_positions: Tensor, n_keys: int, n_head: int, n_kv_head: int) -> TiledMask:
    """`causal` in the pieces that `attention.attend_tiled` takes. (B, T), n_keys whole blocks."""
    return tiles(causal(query_positions, n_keys), n_head, n_kv_head)


def tiles(allowed: Tensor, n_head: int, n_kv_head: int) -> TiledMask:
    """Any mask in those pieces. (B, 1, T, S), S whole blocks -> bias (B, 1 or K * n_tile, TILE_ROWS, S)."""
    group, (B, _, T, S) = n_head // n_kv_head, allowed.shape
    n_tile = -(-group * T // TILE_ROWS)
    rows = F.pad(
        allowed[:, 0].repeat(1, group, 1), (0, 0, 0, n_tile * TILE_ROWS - group * T)
    )  # (B, n_tile * TILE_ROWS, S)
    rows[:, group * T :, 0] = True  # a filler row looks at something, like every row
    bias = (
        torch.zeros(rows.shape, device=rows.device)
        .masked_fill_(~rows, float("-inf"))
        .view(B, n_tile, TILE_ROWS, S)
    )
    if (
        n_tile > 1
    ):  # one tile broadcasts over the heads; several are heads of their own, K times over
        bias = bias.repeat(1, n_kv_head, 1, 1)
    return TiledMask(allowed, S, bias, n_tile)


def block_size(context_length: int) -> int:
    """Keys per block for a model that never sees more than `context_length`: a short context is one block, always the same."""
    return min(KEY_BLOCK, -(-context_length // 16) * 16)


def additive(
    mask: Tensor | Literal["causal"], n_token: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Zero where one may look, a very low score elsewhere: (1 or B, 1, T, T). Low enough for a weight of exactly zero, in bfloat16 too."""
    allowed = explicit(mask, n_token, n_token, device)
    assert allowed is not None, "a causal or bool mask was given"
    return torch.zeros(allowed.shape, dtype=dtype, device=device).masked_fill_(~allowed, -1e4)


def for_training(mask: Mask, n_key: int, x: Tensor) -> Mask:
    """On a CPU, torch's fused attention is three times slower backwards than keeping the weights, as long as rows are short."""
    wants_scores = (
        torch.is_grad_enabled() and x.device.type == "cpu" and n_key <= LONGEST_KEPT_WEIGHTS
    )
    if not wants_scores or isinstance(mask, TiledMask):
        return mask
    return (
        torch.zeros(1, 1, 1, n_key, dtype=x.dtype, device=x.device)
        if mask is None
        else additive(mask, n_key, x.dtype, x.device)
    )


def padding(lengths: Tensor, n_keys: int) -> Tensor:
    """Only the first `lengths[b]` keys of row b exist. (B,) -> (B, 1, 1, S)."""
    keys = torch.arange(n_keys, device=lengths.device)
    return (keys < lengths[:, None])[:, None, None]  # (B, 1, 1, S)


def documents(document_ids: Tensor) -> Tensor:
    """Causal, and never across a document's border: packing leaks nothing. (B, T) -> (B, 1, T, T)."""
    T = document_ids.shape[1]
    same = document_ids[:, :, None] == document_ids[:, None, :]  # (B, T, T)
    return (same & torch.ones(T, T, dtype=torch.bool, device=same.device).tril())[:, None]


def same_document(document_ids: Tensor) -> Tensor:
    """In both directions, never across a document's border: packing for encoders. (B, T) -> (B, 1, T, T)."""
    return (document_ids[:, :, None] == document_ids[:, None, :])[:, None]


def of_first(mask: Mask) -> Mask:
    """The same mask for the first query alone. (B, 1, T, S) -> (B, 1, 1, S)."""
    assert mask is None or isinstance(mask, Tensor), (
        "the first token of a causal text sees only itself"
    )
    return mask if mask is None else mask[..., :1, :]


def sliding(query_positions: Tensor, n_keys: int, window: int) -> Tensor:
    """Causal, and at most the last `window` keys, the query's own included. (B, T) -> (B, 1, T, S)."""
    keys = torch.arange(n_keys, device=query_positions.device)
    ages = query_positions[..., None] - keys  # (B, T, S)
    return ((ages >= 0) & (ages < window))[:, None]


def within(
    mask: Mask, query_places: Tensor, n_keys: int, window: int, n_head: int, n_kv_head: int
) -> Mask:
    """The same mask, and of what it allows only the last `window` keys. query_places (B or 1, T) are indices among the keys."""
    if window >= (mask.n_keys if isinstance(mask, TiledMask) else n_keys):
        return mask
    if isinstance(mask, TiledMask):
        return tiles(_near(mask.allowed, query_places, window), n_head, n_kv_head)
    if isinstance(mask, Tensor):
        assert mask.dtype == torch.bool, "a window is put around a mask before it becomes numbers"
        return _near(mask, query_places, window)
    return sliding(query_places, n_keys, window)


def _near(allowed: Tensor, query_places: Tensor, window: int) -> Tensor:
    """(B, 1, T, S) -> the same. A row left with nothing (padding, which looks at the first token) keeps what it had."""
    near = allowed & sliding(query_places, allowed.shape[-1], window)
    return near | (allowed & ~near.any(dim=-1, keepdim=True))


def explicit(mask: Mask, n_queries: int, n_keys: int, device: torch.device) -> Tensor | None:
    """The same mask as a tensor (or None), for code that computes the weights itself."""
    if isinstance(mask, str):
        assert n_queries == n_keys, (
            "the CAUSAL fast path is for equally many queries and keys; use masks.causal with a cache"
        )
        return torch.ones(n_queries, n_keys, dtype=torch.bool, device=device).tril()[None, None]
    if isinstance(mask, TiledMask):
        return mask.allowed[..., :n_keys]
    if mask is not None and mask.is_floating_point():
        return mask > -1e3
    return mask
