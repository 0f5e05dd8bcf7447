"""The one attention: decoder, encoder, encoder-decoder and image models differ only in mask and context.

    softmax(q k^T / sqrt(Dh)) v                                   Vaswani et al. 2017, eq. 1

`x` asks, `context` answers; `values` is given only where it differs from the keys' source. Fewer key/value heads than query heads
share them in groups (Ainslie et al. 2023). Looking at the weights is a subscription and never changes the output.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from chatwright.model.hand_gradients import SoftmaxAttention
from chatwright.model.kv_cache import LayerCache
from chatwright.model.linear import Linear
from chatwright.model.masks import TILE_ROWS, Mask, TiledMask, explicit
from chatwright.model.norms import RMSNorm
from chatwright.model.positions import Rotary, rotate

Observer = Callable[[Tensor], None]


class KeyValues(NamedTuple):
    """A context already read by one attention layer: (B, K, S, Dh) each. A decoder that asks the same text at every step reads it once."""

    keys: Tensor
    values: Tensor


def attention_weights(
    q: Tensor, k: Tensor, mask: Mask = None, scale: float | None = None
) -> Tensor:
    """softmax(q k^T * scale) over the keys each query may see. (B, H, T, Dh), (B, H, S, Dh) -> (B, H, T, S)."""
    scores = (q @ k.transpose(-2, -1)) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    allowed = explicit(mask, q.shape[-2], k.shape[-2], q.device)
    if allowed is not None:
        scores = scores.masked_fill(~allowed, float("-inf"))
    return scores.softmax(dim=-1)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None) -> Tensor:
    """Soft retrieval, by torch's fused kernel. (B, H, T, Dh), (B, K, S, Dh) twice -> (B, H, T, Dh)."""
    if isinstance(mask, TiledMask):
        return attend_tiled(q, k, v, mask)
    if isinstance(mask, Tensor) and mask.is_floating_point():
        groups = q.shape[1] // k.shape[1]
        k, v = (x.repeat_interleave(groups, dim=1) if groups > 1 else x for x in (k, v))
        return SoftmaxAttention.apply(q * (1 / math.sqrt(q.shape[-1])), k, v, mask)
    grouped = q.shape[1] != k.shape[1]
    return F.scaled_dot_product_attention(
        q,
        k,
        v,
        attn_mask=mask if isinstance(mask, Tensor) else None,
        is_causal=isinstance(mask, str),
        enable_gqa=grouped,
    )


def attend_tiled(q: Tensor, k: Tensor, v: Tensor, mask: TiledMask) -> Tensor:
    """The same result as `attend` with the mask in one piece, in pieces of one size, so that a row's bits do not depend on its neighbours,
    its batch, its chunk or a cache. Shapes as in `attend`; keys beyond the given ones are padding.

    The tiles stand where the kernel expects query heads: each is computed by itself, and tiles of one key/value head share it.
    """
    (B, H, T, head_dim), n_kv_head = q.shape, k.shape[1]
    n_row = H // n_kv_head * T
    q = q.reshape(B, n_kv_head, n_row, head_dim)
    q = F.pad(q, (0, 0, 0, mask.n_tile * TILE_ROWS - n_row)).reshape(
        B, n_kv_head * mask.n_tile, TILE_ROWS, head_dim
    )
    if k.shape[2] < mask.n_keys:
        k, v = (F.pad(x, (0, 0, 0, mask.n_keys - x.shape[2])) for x in (k, v))
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask.bias, enable_gqa=mask.n_tile > 1)
    return out.view(B, n_kv_head, mask.n_tile * TILE_ROWS, head_dim)[:, :, :n_row].reshape(
        B, H, T, head_dim
    )


class Attention(nn.Module):
    """Multi-head attention.  x (B, T, D), context (B, S, D) -> (B, T, D)."""

    def __init__(
        self,
        d_model: int,
        n_head: int,
        n_kv_head: int | None = None,
        head_dim: int | None = None,
        bias: bool = False,
        qk_norm: bool = False,
        norm_eps: float = 1e-6,
        value_width: int | None = None,
        output_bias: bool | None = None,
    ) -> None:
        """`bias` is that of queries, keys and values, and of the output unless `output_bias` says otherwise."""
        super().__init__()
        self.n_head, self.n_kv_head = n_head, n_kv_head or n_head
        self.head_dim = head_dim or d_model // n_head
        self.query = Linear(d_model, self.n_head * self.head_dim, bias)
        self.key = Linear(d_model, self.n_kv_head * self.head_dim, bias)
        self.value = Linear(value_width or d_model, self.n_kv_head * self.head_dim, bias)
        self.output = Linear(
            self.n_head * self.head_dim, d_model, bias if output_bias is None else output_bias
        )
        self.query_norm = RMSNorm(self.head_dim, norm_eps) if qk_norm else None
        self.key_norm = RMSNorm(self.head_dim, norm_eps) if qk_norm else None
        self._observers: list[Observer] = []

    def forward(
        self,
        x: Tensor,
        context: Tensor | KeyValues | None = None,
        values: Tensor | None = None,
        mask: Mask = None,
        rotary: Rotary | None = None,
        cache: LayerCache | None = None,
        head_gates: Tensor | None = None,
    ) -> Tensor:
        """`head_gates` (H,) multiplies each head's result: 0 switches a head off. A context that was `read` before is not read again."""
        q = self._heads(self.query(x), self.n_head)  # (B, H, T, Dh)
        if self.query_norm is not None:
            q = self.query_norm(q)
        if rotary is not None:
            q = rotate(q, rotary)
        k, v = (
            context
            if isinstance(context, KeyValues)
            else self.read(x if context is None else context, values, rotary)
        )
        if cache is not None:
            k, v = cache.append(k, v)
        for observer in self._observers:
            observer(
                attention_weights(
                    q, k.repeat_interleave(self.n_head // self.n_kv_head, dim=1), mask
                ).detach()
            )
        out = attend(q, k, v, mask)  # (B, H, T, Dh)
        if head_gates is not None:
            out = out * head_gates[:, None, None].to(out.dtype)
        joined: Tensor = self.output(out.transpose(1, 2).flatten(2))  # (B, T, D)
        return joined

    def read(
        self, context: Tensor, values: Tensor | None = None, rotary: Rotary | None = None
    ) -> KeyValues:
        """What this layer makes of a context before anybody asks. (B, S, D) -> (B, K, S, Dh) twice."""
        k = self._heads(self.key(context), self.n_kv_head)
        v = self._heads(self.value(context if values is None else values), self.n_kv_head)
        if self.key_norm is not None:
            k = self.key_norm(k)
        return KeyValues(k if rotary is None else rotate(k, rotary), v)

    def _heads(self, x: Tensor, n_head: int) -> Tensor:
        return x.view(*x.shape[:2], n_head, self.head_dim).transpose(1, 2)

    def observe(self, callback: Observer) -> Callable[[], None]:
        """Call `callback` with the weights (B, H, T, S) at every forward pass, until the returned function is called."""
        self._observers.append(callback)
        return lambda: self._observers.remove(callback)
