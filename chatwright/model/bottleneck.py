"""A narrow layer inside a wide stream: MobileBERT's block (Sun et al. 2020, figure 1c).

    wide -> narrow -> attention -> feed-forwards, one after another -> wide

The stream between layers stays wide, so that a wide teacher can be imitated layer by layer; all that is computed in between is narrow.
Post-norm throughout.
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


class Projected(nn.Module):
    """A linear layer and a norm. (B, T, D) -> (B, T, N)."""

    def __init__(self, d_model: int, narrow: int, norm: NormKind, norm_eps: float) -> None:
        super().__init__()
        self.linear = Linear(d_model, narrow, bias=True)
        self.norm = make_norm(norm, narrow, norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.linear(x))


class BottleneckBlock(nn.Module):
    """(B, T, D) -> (B, T, D), through N numbers per token.

    Queries and keys have a narrowing of their own and values come from the wide stream, unless `narrow_values`: then all three come from
    the one narrowed input.
    """

    def __init__(
        self,
        d_model: int,
        narrow: int,
        d_ff: int,
        n_head: int,
        n_feed_forward: int,
        activation: Activation,
        norm: NormKind,
        norm_eps: float,
        narrow_values: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.narrowed = Projected(d_model, narrow, norm, norm_eps)
        self.asking = None if narrow_values else Projected(d_model, narrow, norm, norm_eps)
        self.attention = Attention(
            narrow, n_head, bias=True, value_width=None if narrow_values else d_model
        )
        self.attention_norm = make_norm(norm, narrow, norm_eps)
        self.feed_forwards = nn.ModuleList(
            FeedForward(narrow, d_ff, activation, bias=True) for _ in range(n_feed_forward)
        )
        self.feed_forward_norms = nn.ModuleList(
            make_norm(norm, narrow, norm_eps) for _ in range(n_feed_forward)
        )
        self.widen = Linear(narrow, d_model, bias=True)
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
        narrow = self.narrowed(x)  # (B, T, N)
        asks, values = (narrow, None) if self.asking is None else (self.asking(x), x)
        attended = self.attention(
            asks, values=values, mask=mask, rotary=rotary, cache=cache, head_gates=head_gates
        )
        narrow = self.attention_norm(narrow + attended)
        for feed_forward, norm in zip(self.feed_forwards, self.feed_forward_norms, strict=True):
            narrow = norm(narrow + feed_forward(narrow))
        return self.norm(x + self.dropout(self.widen(narrow)))  # (B, T, D)

    def first(
        self,
        x: Tensor,
        mask: Mask = None,
        rotary: Rotary | None = None,
        head_gates: Tensor | None = None,
    ) -> Tensor:
        """(B, T, D) -> (B, 1, D)."""
        return self.forward(x, mask, rotary, None, head_gates)[:, :1]
