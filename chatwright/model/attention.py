"""Multi-head attention: the one class that every model here uses.

    softmax(q k^T / sqrt(Dh)) v                                   Vaswani et al. 2017, eq. 1

Decoder, encoder and encoder-decoder differ only in mask and context: `x` gives the queries,
`context` the keys and values. With fewer key/value heads than query heads, a group of query heads
shares one of them (grouped-query attention, Ainslie et al. 2023). You can observe the attention
weights without changing the output.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.model import masks
from chatwright.model.custom_autograd import SoftmaxAttention
from chatwright.model.kv_cache import LayerCache
from chatwright.model.linear import Joining, Linear
from chatwright.model.masks import Mask, TiledMask, explicit
from chatwright.model.norms import RMSNorm, normalized
from chatwright.model.positions import Rotary, rotate
from chatwright.model.tiled_attention import attend_tiled

Observer = Callable[[Tensor], None]


class KeyValues(NamedTuple):
    """Keys and values of a context for one attention layer, each (B, K, S, Dh).

    Token-by-token decoding computes the keys and values of a source text only once.
    """

    keys: Tensor
    values: Tensor


def attention_weights(
    q: Tensor, k: Tensor, mask: Mask = None, scale: float | None = None
) -> Tensor:
    """Compute softmax(q k^T * scale) over the keys that each query may see.

    (B, H, T, Dh), (B, H, S, Dh) -> (B, H, T, S). Default scale: 1 / sqrt(Dh).
    """
    scores = (q @ k.transpose(-2, -1)) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    allowed = explicit(mask, q.shape[-2], k.shape[-2], q.device)
    if allowed is not None:
        scores = scores.masked_fill(~allowed, float("-inf"))
    return scores.softmax(dim=-1)


def attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, scale: float | None = None
) -> Tensor:
    """Compute attention by the kernel that suits the mask.

    q (B, H, T, Dh), k and v (B, K, S, Dh) -> (B, H, T, Dh). Default scale: 1 / sqrt(Dh).
    """
    if isinstance(mask, TiledMask):
        return attend_tiled(q, k, v, mask, scale)
    if isinstance(mask, Tensor) and mask.is_floating_point():
        group_size = q.shape[1] // k.shape[1]
        if group_size > 1:
            k = k.repeat_interleave(group_size, dim=1)
            v = v.repeat_interleave(group_size, dim=1)
        factor = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
        return SoftmaxAttention.apply(q * factor, k, v, mask)
    return F.scaled_dot_product_attention(
        q,
        k,
        v,
        attn_mask=mask if isinstance(mask, Tensor) else None,
        is_causal=isinstance(mask, str),
        scale=scale,
        enable_gqa=q.shape[1] != k.shape[1],
    )


class Attention(Joining):
    """Multi-head attention. x (B, T, D), context (B, S, D) -> (B, T, D)."""

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
        scale: float | None = None,
        is_self_attention: bool = False,
    ) -> None:
        """Allocate the projections.

        Args:
            d_model: Size of the input and output vectors.
            n_head: Number of query heads.
            n_kv_head: Number of key/value heads; default: n_head.
            head_dim: Size of one head; default: d_model / n_head.
            bias: Whether query, key and value projections have a bias.
            qk_norm: Whether queries and keys are normalized in every head.
            norm_eps: Epsilon of the query and key norms.
            value_width: Size of the vectors that values are computed from; default: d_model.
            output_bias: Whether the output projection has a bias; default: `bias`.
            scale: Factor of the scores; default: 1 / sqrt(head_dim).
            is_self_attention: Whether `forward` never gets a context. Query, key and value
                projections are then packed as one matrix.
        """
        super().__init__()
        self.is_self_attention = is_self_attention
        self.n_head = n_head
        self.n_kv_head = n_kv_head or n_head
        self.head_dim = head_dim or d_model // n_head
        self.scale = scale
        query_width = self.n_head * self.head_dim
        key_width = self.n_kv_head * self.head_dim
        self.query = Linear(d_model, query_width, bias)
        self.key = Linear(d_model, key_width, bias)
        self.value = Linear(value_width or d_model, key_width, bias)
        self.output = Linear(query_width, d_model, bias if output_bias is None else output_bias)
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
        """Let every vector of `x` attend to the context. (B, T, D) -> (B, T, D).

        Args:
            x: (B, T, D), input of the query projection.
            context: (B, S, D), input of the key and value projections, or the result of
                `key_values`. Default: x.
            values: (B, S, value_width), input of the value projection. Default: context.
            mask: Which keys each query sees (`masks.py`).
            rotary: Rotary angles of the positions.
            cache: Keys and values of earlier tokens; the new ones are appended.
            head_gates: (H,) or (B, H) factors of the heads' outputs; 0 switches a head off.
        """
        q, k, v = self._projections(x, context, values, rotary)
        if cache is not None:
            k, v = cache.append(k, v)
        if self._observers:
            self._report_weights(q, k, mask)
        out = attend(q, k, v, mask, self.scale)  # (B, H, T, Dh)
        if head_gates is not None:
            out = out * head_gates[..., None, None].to(out.dtype)
        joined: Tensor = self.output(out.transpose(1, 2).flatten(2))  # (B, T, D)
        return joined

    def some_weights(
        self, x: Tensor, mask: Mask, rotary: Rotary | None, queries: range, heads: range
    ) -> Tensor:
        """Compute the weights of some queries and heads of self-attention, and no others.

        (B, T, D) -> (B, len(heads), len(queries), T). The weights equal those that `observe`
        reports. All heads of 1,000 tokens take 36 MB a layer, one query of all heads 36 kB.
        """
        T = x.shape[1]
        q, k, _ = self._projections(x, None, None, rotary)
        group_size = self.n_head // self.n_kv_head
        q = q[:, heads.start : heads.stop, queries.start : queries.stop]
        k = k[:, [head // group_size for head in heads]]
        allowed = masks.of_queries(mask, queries.start, queries.stop, T, x.device)
        return attention_weights(q, k, allowed, self.scale)

    def _projections(
        self,
        x: Tensor,
        context: Tensor | KeyValues | None,
        values: Tensor | None,
        rotary: Rotary | None,
    ) -> tuple[Tensor, ...]:
        """Compute queries, keys and values. -> (B, H, T, Dh) and twice (B, K, S, Dh)."""
        if self.joined is not None:
            assert context is None, "query, key and value projections were packed as one"
            return self._joined_projections(x, rotary)
        q = self._rotated(self._split_heads(self.query(x), self.n_head), rotary, self.query_norm)
        if isinstance(context, KeyValues):
            return (q, *context)
        return (q, *self.key_values(x if context is None else context, values, rotary))

    def key_values(
        self, context: Tensor, values: Tensor | None = None, rotary: Rotary | None = None
    ) -> KeyValues:
        """Compute the keys and values of a context. (B, S, D) -> twice (B, K, S, Dh)."""
        k = self._split_heads(self.key(context), self.n_kv_head)
        v = self._split_heads(self.value(context if values is None else values), self.n_kv_head)
        return KeyValues(self._rotated(k, rotary, self.key_norm), v)

    def joined_layers(self) -> tuple[Linear, ...]:
        """Return query, key and value projections, if all have the same input."""
        return (self.query, self.key, self.value) if self.is_self_attention else ()

    def _joined_projections(self, x: Tensor, rotary: Rotary | None) -> tuple[Tensor, ...]:
        """Compute queries, keys and values by one product. -> three (B, heads, T, Dh)."""
        assert self.joined is not None, "called with a joined matrix only"
        n_head, n_kv_head = self.n_head, self.n_kv_head
        heads = self._split_heads(self.joined(x), n_head + 2 * n_kv_head)
        turned, v = heads.split_with_sizes([n_head + n_kv_head, n_kv_head], dim=1)
        if self.query_norm is not None:  # queries and keys together, each head with its weight
            turned = normalized(turned, self._joined_norm_weights(), self.query_norm.eps)
        if rotary is not None:
            turned = rotate(turned, rotary)
        q, k = turned.split_with_sizes([n_head, n_kv_head], dim=1)
        return q, k, v

    def _joined_norm_weights(self) -> Tensor:
        """Return the norm weight of every query and key head, (H + K, 1, Dh).

        It is made once after the projections were packed as one matrix.
        """
        assert self.joined is not None, "called with a joined matrix only"
        assert self.query_norm is not None, "called with norms only"
        assert self.key_norm is not None, "queries and keys have norms, or neither has"
        if self.joined.norm_weights is None:
            sizes = ((self.query_norm, self.n_head), (self.key_norm, self.n_kv_head))
            weights = [norm.weight.detach().expand(n, 1, -1) for norm, n in sizes]
            self.joined.norm_weights = torch.cat(weights)
        return self.joined.norm_weights

    @staticmethod
    def _rotated(x: Tensor, rotary: Rotary | None, norm: RMSNorm | None) -> Tensor:
        """Normalize and rotate queries or keys, if the model does. (B, heads, T, Dh)."""
        if norm is not None:
            x = norm(x)
        return x if rotary is None else rotate(x, rotary)

    def _split_heads(self, x: Tensor, n_head: int) -> Tensor:
        """(B, T, H * Dh) -> (B, H, T, Dh)."""
        return x.view(*x.shape[:2], n_head, self.head_dim).transpose(1, 2)

    def _report_weights(self, q: Tensor, k: Tensor, mask: Mask) -> None:
        k = k.repeat_interleave(self.n_head // self.n_kv_head, dim=1)
        for observer in self._observers:
            observer(attention_weights(q, k, mask, self.scale).detach())

    def observe(self, callback: Observer) -> Callable[[], None]:
        """Call `callback` with the weights (B, H, T, S) of every forward pass.

        Returns:
            A function that ends the observation.
        """
        self._observers.append(callback)
        return lambda: self._observers.remove(callback)
