"""Attention for inference whose bits do not depend on the batch, the chunk or the cache.

Queries are cut into tiles of TILE_ROWS rows and keys into blocks of equal size. torch's kernel
computes every pair of tile and block as a head of its own, so every product has the same shape.
The results of the blocks are merged in their order ("split-KV", Dao et al. 2023):

    out = sum_b w_b out_b    with  w = softmax over b of log sum exp(scores in block b)

A block without a visible key has weight 0 and adds 0, so longer padding changes nothing.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.model.masks import TILE_ROWS, TiledMask

WEIGHT_LANES = 16
"""The softmax over blocks gets a multiple of this length, so that it always uses whole vectors."""


def attend_tiled(
    q: Tensor, k: Tensor, v: Tensor, mask: TiledMask, scale: float | None = None
) -> Tensor:
    """Compute attention on a CPU. q (B, H, T, Dh), k and v (B, K, S, Dh) -> (B, H, T, Dh).

    Keys are padded to the length of the mask.
    """
    B, H, T, head_dim = q.shape
    n_kv_head = k.shape[1]
    n_group, n_row = B * n_kv_head, H // n_kv_head * T
    n_padded_row = mask.n_tile * TILE_ROWS
    if k.shape[2] < mask.n_keys:
        k, v = (F.pad(x, (0, 0, 0, mask.n_keys - x.shape[2])) for x in (k, v))
    blocks = (n_group, mask.n_block, mask.block_size, head_dim)
    k, v = k.reshape(blocks), v.reshape(blocks)
    q = q.reshape(B, n_kv_head, n_row, head_dim)
    if n_padded_row > n_row:
        q = F.pad(q, (0, 0, 0, n_padded_row - n_row))
    tiles = q.reshape(n_group, 1, mask.n_tile, TILE_ROWS, head_dim)
    tiles = tiles.expand(-1, mask.n_block, -1, -1, -1).flatten(1, 2)
    out, log_sums = torch._scaled_dot_product_flash_attention_for_cpu(
        tiles, k, v, attn_mask=mask.bias, scale=scale
    )  # (B * K, n_block * n_tile, TILE_ROWS, Dh) and the same without Dh
    if mask.n_block > 1:
        shape = (n_group, mask.n_block, n_padded_row)
        log_sums = log_sums.reshape(shape)
        if mask.hidden is not None:
            log_sums = log_sums + mask.hidden
        out = _merge(out.reshape(*shape, head_dim), log_sums)
    return out.reshape(n_group, n_padded_row, head_dim)[:, :n_row].reshape(B, H, T, head_dim)


def _merge(out: Tensor, log_sums: Tensor) -> Tensor:
    """Merge the results of key blocks. (N, n_block, R, Dh), (N, n_block, R) -> (N, R, Dh)."""
    n_block = out.shape[1]
    padded = F.pad(log_sums.transpose(1, 2), (0, -n_block % WEIGHT_LANES), value=float("-inf"))
    weights = padded.softmax(dim=-1)[..., :n_block].transpose(1, 2)  # (N, n_block, R)
    merged, *others = (out * weights[..., None]).unbind(1)
    for weighted in others:  # Tensor.sum would choose its order by the number of blocks
        merged.add_(weighted)
    return merged
