"""One layer of a Transformer: attention and feed-forward, each with a norm and a residual around it; between them, in a decoder that
reads another text, cross-attention to that text.

Pre-norm (GPT-2 and all since): x + f(norm(x)). Post-norm (2017, GPT-1): norm(x + f(x)).
"""

from collections.abc import Callable

from torch import Tensor, nn

from chatwright.model import masks
from chatwright.model.attention import Attention, KeyValues
from chatwright.model.dropout import Dropout
from chatwright.model.feed_forward import FeedForward
from chatwright.model.kv_cache import LayerCache
from chatwright.model.masks import Mask
from chatwright.model.positions import Rotary


class Block(nn.Module):
    """(B, T, D) -> (B, T, D)."""

    def __init__(
        self,
        attention: Attention,
        attention_norm: nn.Module,
        feed_forward: FeedForward,
        feed_forward_norm: nn.Module,
        norm_first: bool = True,
        dropout: float = 0.0,
        cross_attention: Attention | None = None,
        cross_attention_norm: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.attention, self.attention_norm = attention, attention_norm
        self.cross_attention, self.cross_attention_norm = cross_attention, cross_attention_norm
        self.feed_forward, self.feed_forward_norm = feed_forward, feed_forward_norm
        self.norm_first = norm_first
        self.dropout = Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        mask: Mask = None,
        rotary: Rotary | None = None,
        cache: LayerCache | None = None,
        head_gates: Tensor | None = None,
        context: Tensor | KeyValues | None = None,
        context_mask: Mask = None,
    ) -> Tensor:
        """`context` (B, S, D), or the same read before by this block's cross-attention, is what that looks at."""
        assert (context is None) == (self.cross_attention is None), (
            "a context goes with cross-attention, and the other way round"
        )
        x = self._around(
            lambda y: self.attention(
                y, mask=mask, rotary=rotary, cache=cache, head_gates=head_gates
            ),
            self.attention_norm,
            x,
        )
        if self.cross_attention is not None and self.cross_attention_norm is not None:
            cross = self.cross_attention
            x = self._around(
                lambda y: cross(y, context, mask=context_mask), self.cross_attention_norm, x
            )
        return self._around(self.feed_forward, self.feed_forward_norm, x)

    def first(
        self,
        x: Tensor,
        mask: Mask = None,
        rotary: Rotary | None = None,
        head_gates: Tensor | None = None,
    ) -> Tensor:
        """What `forward` gives for the first token, and for it alone: the others are only looked at. (B, T, D) -> (B, 1, D)."""
        looked_at = self.attention.read(
            self.attention_norm(x) if self.norm_first else x, rotary=rotary
        )
        angles = None if rotary is None else (rotary[0][..., :1, :], rotary[1][..., :1, :])
        mask = masks.of_first(mask)
        x = self._around(
            lambda y: self.attention(y, looked_at, mask=mask, rotary=angles, head_gates=head_gates),
            self.attention_norm,
            x[:, :1],
        )
        return self._around(self.feed_forward, self.feed_forward_norm, x)

    def _around(self, part: Callable[[Tensor], Tensor], norm: nn.Module, x: Tensor) -> Tensor:
        if self.norm_first:
            return x + self.dropout(part(norm(x)))
        normed: Tensor = norm(x + self.dropout(part(x)))
        return normed
