"""MobileBERT's block: a layer that computes with small vectors (Sun et al. 2020, figure 1c).

    D -> N -> attention -> n_feed_forward x feed-forward network -> D

Vectors between the layers have size D, so that the model can imitate a large teacher layer by
layer. Inside a layer, vectors have the smaller size N. Every norm is a post-norm.
"""

from torch import Tensor, nn

from chatwright.model.attention import Attention
from chatwright.model.dropout import Dropout
from chatwright.model.feed_forward import Activation, FeedForward
from chatwright.model.kv_cache import LayerCache
from chatwright.model.linear import Linear
from chatwright.model.masks import Mask
from chatwright.model.norms import NormKind, make_norm
from chatwright.model.positions import Rotary


class LinearAndNorm(nn.Module):
    """A linear layer followed by a norm. (B, T, D) -> (B, T, N)."""

    def __init__(self, d_model: int, bottleneck: int, norm: NormKind, norm_eps: float) -> None:
        """Allocate the linear layer and the norm."""
        super().__init__()
        self.linear = Linear(d_model, bottleneck, bias=True)
        self.norm = make_norm(norm, bottleneck, norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, N)."""
        return self.norm(self.linear(x))


class BottleneckBlock(nn.Module):
    """One layer. (B, T, D) -> (B, T, D), with vectors of size N inside."""

    def __init__(
        self,
        d_model: int,
        bottleneck: int,
        d_ff: int,
        n_head: int,
        n_feed_forward: int,
        activation: Activation,
        norm: NormKind,
        norm_eps: float,
        bottleneck_values: bool = False,
        dropout: float = 0.0,
    ) -> None:
        """Allocate the layer.

        `narrowed` projects the layer's input to size N. A second projection, `asking`, makes the
        input of queries and keys; values are computed from the vectors of size D. With
        `bottleneck_values`, queries, keys and values all come from `narrowed`. Saved files use the
        names `narrowed` and `asking`.
        """
        super().__init__()
        self.narrowed = LinearAndNorm(d_model, bottleneck, norm, norm_eps)
        self.asking: LinearAndNorm | None = None
        if not bottleneck_values:
            self.asking = LinearAndNorm(d_model, bottleneck, norm, norm_eps)
        value_width = None if bottleneck_values else d_model
        self.attention = Attention(bottleneck, n_head, bias=True, value_width=value_width)
        self.attention_norm = make_norm(norm, bottleneck, norm_eps)
        self.feed_forwards = nn.ModuleList(
            FeedForward(bottleneck, d_ff, activation, bias=True) for _ in range(n_feed_forward)
        )
        self.feed_forward_norms = nn.ModuleList(
            make_norm(norm, bottleneck, norm_eps) for _ in range(n_feed_forward)
        )
        self.widen = Linear(bottleneck, d_model, bias=True)
        self.norm = make_norm(norm, d_model, norm_eps)
        self.dropout = Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        mask: Mask = None,
        rotary: Rotary | None = None,
        cache: LayerCache | None = None,
        head_gates: Tensor | None = None,
    ) -> Tensor:
        """Apply the layer. (B, T, D) -> (B, T, D)."""
        inner = self.narrowed(x)  # (B, T, N)
        queries = inner if self.asking is None else self.asking(x)  # (B, T, N)
        values = None if self.asking is None else x
        attended = self.attention(
            queries, values=values, mask=mask, rotary=rotary, cache=cache, head_gates=head_gates
        )
        inner = self.attention_norm(inner + attended)
        for feed_forward, norm in zip(self.feed_forwards, self.feed_forward_norms, strict=True):
            inner = norm(inner + feed_forward(inner))
        return self.norm(x + self.dropout(self.widen(inner)))  # (B, T, D)

    def first(
        self,
        x: Tensor,
        mask: Mask = None,
        rotary: Rotary | None = None,
        head_gates: Tensor | None = None,
    ) -> Tensor:
        """Return the output of the first token only. (B, T, D) -> (B, 1, D)."""
        return self.forward(x, mask, rotary, None, head_gates)[:, :1]
