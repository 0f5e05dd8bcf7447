"""Attention masks: which keys each query sees. They are made once per forward pass.

A mask is one of:

    None            every query sees every key
    CAUSAL          query t sees keys 0..t, of as many keys as queries; torch's fastest kernel
    a bool tensor   broadcasts to (B, H, T, S); True: the query sees the key
    a float tensor  numbers that are added to the scores, very low for hidden keys (training)
    TiledMask       for inference that is bit-identical in any batch

Every query must see at least one key.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

CAUSAL: Literal["causal"] = "causal"

TILE_ROWS = 4
"""Query rows per tile. With tiles of equal size, a row's bits do not depend on other rows."""

KEY_BLOCK = 128
"""Keys per block. Keys are padded to whole blocks, all of equal size."""

LONGEST_KEPT_WEIGHTS = 1024
"""Longest row, in keys, for which training keeps attention weights for the backward pass."""


@dataclass(frozen=True)
class TiledMask:
    """A mask cut into tiles of TILE_ROWS query rows and blocks of keys (`tiled_attention`).

    Query heads that share keys become rows of the same tiles, so that one new token fills a tile.
    """

    allowed: Tensor
    """(B, 1, T, S): the same mask as a bool tensor."""
    n_keys: int
    """S, a multiple of the block size."""
    n_tile: int
    """Tiles per key/value head."""
    n_block: int
    """Blocks of keys."""
    bias: Tensor
    """(B * K, n_block * n_tile, TILE_ROWS, block size): 0 or -inf, added to the scores."""
    hidden: Tensor | None
    """(B * K, n_block, n_tile * TILE_ROWS): -inf where a row sees no key of the block, else 0.

    None: every row sees a key of every block.
    """

    @property
    def block_size(self) -> int:
        """Keys per block."""
        return self.n_keys // self.n_block


Mask = Tensor | TiledMask | Literal["causal"] | None


def causal(query_positions: Tensor, n_keys: int) -> Tensor:
    """Let the query at position p see the keys s <= p. (B, T) -> (B, 1, T, S)."""
    keys = torch.arange(n_keys, device=query_positions.device)
    return (keys <= query_positions[..., None])[:, None]  # (B, 1, T, S)


def causal_tiles(query_positions: Tensor, n_keys: int, n_head: int, n_kv_head: int) -> TiledMask:
    """Make the mask of `causal` as tiles; n_keys must be a multiple of the block size."""
    return tile_mask(causal(query_positions, n_keys), n_head, n_kv_head)


def tile_mask(allowed: Tensor, n_head: int, n_kv_head: int) -> TiledMask:
    """Cut a bool mask (B, 1, T, S) into tiles; S must be a multiple of the block size."""
    group_size = n_head // n_kv_head
    B, _, T, S = allowed.shape
    block = min(S, KEY_BLOCK)
    n_row, n_block = group_size * T, S // block
    assert n_block * block == S, f"{S} keys are not whole blocks of {block}"
    n_tile = -(-n_row // TILE_ROWS)
    if T == 1:  # all rows, padding too, see the same keys
        rows = allowed[:, 0].expand(-1, n_tile * TILE_ROWS, -1)
    else:
        rows = allowed[:, 0].repeat(1, group_size, 1)
        rows = F.pad(rows, (0, 0, 0, n_tile * TILE_ROWS - n_row))  # (B, n_tile * TILE_ROWS, S)
        rows[:, n_row:, 0] = True  # every row must see a key, so padding rows see the first one
    rows = rows.view(B, -1, n_block, block).transpose(1, 2)  # (B, n_block, rows, block)
    bias = torch.where(rows, 0.0, float("-inf")).reshape(B, n_block * n_tile, TILE_ROWS, block)
    bias = bias.repeat_interleave(n_kv_head, dim=0)
    # torch's kernel takes 0 as the logarithm of the sum over no keys, so these rows are marked.
    sees_key = rows.any(dim=-1)  # (B, n_block, rows)
    hidden: Tensor | None = None
    if not sees_key.all():
        hidden = torch.where(sees_key, 0.0, float("-inf")).repeat_interleave(n_kv_head, dim=0)
    return TiledMask(allowed, S, n_tile, n_block, bias, hidden)


def block_size(context_length: int) -> int:
    """Return the keys per block: KEY_BLOCK, or less for a model with a shorter context."""
    return min(KEY_BLOCK, -(-context_length // 16) * 16)


def additive(
    mask: Tensor | Literal["causal"], n_token: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Make the numbers to add to the scores: 0 for a visible key, -10,000 for a hidden one.

    Returns (1 or B, 1, T, T). -10,000 is low enough for a weight of exactly 0, in bfloat16 too.
    """
    allowed = explicit(mask, n_token, n_token, device)
    assert allowed is not None, "the mask is CAUSAL or a tensor"
    return torch.zeros(allowed.shape, dtype=dtype, device=device).masked_fill_(~allowed, -1e4)


def for_training(mask: Mask, n_key: int, x: Tensor) -> Mask:
    """Make the mask additive where attention should keep its weights for the backward pass.

    For short rows on a CPU, the backward pass of torch's fused attention takes three times as long.
    """
    keeps_weights = (
        torch.is_grad_enabled() and x.device.type == "cpu" and n_key <= LONGEST_KEPT_WEIGHTS
    )
    if not keeps_weights or isinstance(mask, TiledMask):
        return mask
    if mask is None:
        return torch.zeros(1, 1, 1, n_key, dtype=x.dtype, device=x.device)
    return additive(mask, n_key, x.dtype, x.device)


def padding(lengths: Tensor, n_keys: int) -> Tensor:
    """Let all queries of row b see its first lengths[b] keys. (B,) -> (B, 1, 1, S)."""
    keys = torch.arange(n_keys, device=lengths.device)
    return (keys < lengths[:, None])[:, None, None]  # (B, 1, 1, S)


def causal_documents(document_ids: Tensor) -> Tensor:
    """Make a causal mask inside each document of a packed row. (B, T) -> (B, 1, T, T)."""
    T = document_ids.shape[1]
    same = document_ids[:, :, None] == document_ids[:, None, :]  # (B, T, T)
    return (same & torch.ones(T, T, dtype=torch.bool, device=same.device).tril())[:, None]


def same_document(document_ids: Tensor) -> Tensor:
    """Let all tokens of a document see each other, for encoders. (B, T) -> (B, 1, T, T)."""
    return (document_ids[:, :, None] == document_ids[:, None, :])[:, None]


def first_query(mask: Mask) -> Mask:
    """Take only the mask of the first query. (B, 1, T, S) -> (B, 1, 1, S)."""
    assert mask is None or isinstance(mask, Tensor), (
        "in a causal mask the first token sees only itself; compute it without a mask"
    )
    return mask if mask is None else mask[..., :1, :]


def of_queries(
    mask: Mask, first: int, end: int, n_keys: int, device: torch.device
) -> Tensor | None:
    """Take the mask of the queries `first` to `end` - 1 as a bool tensor. -> (B, 1, rows, S).

    The rows of CAUSAL are made without the whole matrix.
    """
    if isinstance(mask, str):
        return causal(torch.arange(first, end, device=device)[None], n_keys)
    allowed = explicit(mask, n_keys, n_keys, device)
    return None if allowed is None else allowed[..., first:end, :]


def sliding(query_positions: Tensor, n_keys: int, window: int) -> Tensor:
    """Let each query see the last `window` keys up to its own. (B, T) -> (B, 1, T, S)."""
    keys = torch.arange(n_keys, device=query_positions.device)
    ages = query_positions[..., None] - keys  # (B, T, S)
    return ((ages >= 0) & (ages < window))[:, None]


def within(
    mask: Mask, key_positions: Tensor, n_keys: int, window: int, n_head: int, n_kv_head: int
) -> Mask:
    """Limit a mask to the last `window` keys of each query.

    `key_positions` (B or 1, T) are the indices of the queries among the keys.
    """
    if window >= (mask.n_keys if isinstance(mask, TiledMask) else n_keys):
        return mask
    if isinstance(mask, TiledMask):
        return tile_mask(_windowed(mask.allowed, key_positions, window), n_head, n_kv_head)
    if isinstance(mask, Tensor):
        assert mask.dtype == torch.bool, "limit a mask before it becomes additive"
        return _windowed(mask, key_positions, window)
    return sliding(key_positions, n_keys, window)


def _windowed(allowed: Tensor, key_positions: Tensor, window: int) -> Tensor:
    """Limit a bool mask. (B, 1, T, S) -> (B, 1, T, S).

    A row that would see no key keeps its mask. Such a row is padding and sees the first token.
    """
    windowed = allowed & sliding(key_positions, allowed.shape[-1], window)
    return windowed | (allowed & ~windowed.any(dim=-1, keepdim=True))


def explicit(mask: Mask, n_queries: int, n_keys: int, device: torch.device) -> Tensor | None:
    """Convert any mask to a bool tensor or None, for code that computes the weights itself."""
    if isinstance(mask, str):
        assert n_queries == n_keys, (
            "CAUSAL needs as many queries as keys; use masks.causal with a cache"
        )
        return torch.ones(n_queries, n_keys, dtype=torch.bool, device=device).tril()[None, None]
    if isinstance(mask, TiledMask):
        return mask.allowed[..., :n_keys]
    if mask is not None and mask.is_floating_point():
        return mask > -1e3
    return mask
