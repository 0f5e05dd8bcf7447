"""One Transformer layer: attention and feed-forward, each with a norm and a residual connection.

Pre-norm (GPT-2 and later): x + f(norm(x)). Post-norm (Vaswani et al. 2017, GPT-1): norm(x + f(x)).
Sandwich norm (Ding et al. 2021, Gemma): x + norm(f(norm(x))).
In the decoder of an encoder-decoder, cross-attention to the source text comes between the two.
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
    """One layer. (B, T, D) -> (B, T, D)."""

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
        attention_output_norm: nn.Module | None = None,
        feed_forward_output_norm: nn.Module | None = None,
    ) -> None:
        """Assemble the layer from its parts.

        `norm_first` chooses pre-norm or post-norm. The output norms are those of sandwich norm.
        """
        super().__init__()
        self.attention = attention
        self.attention_norm = attention_norm
        self.cross_attention = cross_attention
        self.cross_attention_norm = cross_attention_norm
        self.feed_forward = feed_forward
        self.feed_forward_norm = feed_forward_norm
        self.attention_output_norm = attention_output_norm
        self.feed_forward_output_norm = feed_forward_output_norm
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
        """Apply the layer. (B, T, D) -> (B, T, D).

        `context` is the input of cross-attention: (B, S, D), or its keys and values for this block.
        """
        assert (context is None) == (self.cross_attention is None), (
            "a block needs a context if and only if it has cross-attention"
        )

        def self_attention(y: Tensor) -> Tensor:
            out: Tensor = self.attention(
                y, mask=mask, rotary=rotary, cache=cache, head_gates=head_gates
            )
            return out

        x = self._residual(self_attention, self.attention_norm, x, self.attention_output_norm)
        if self.cross_attention is not None and self.cross_attention_norm is not None:
            cross = self.cross_attention
            x = self._residual(
                lambda y: cross(y, context, mask=context_mask), self.cross_attention_norm, x
            )
        return self._feed_forward(x)

    def first(
        self,
        x: Tensor,
        mask: Mask = None,
        rotary: Rotary | None = None,
        head_gates: Tensor | None = None,
    ) -> Tensor:
        """Compute the output of the first token only. (B, T, D) -> (B, 1, D).

        The result equals `forward` at the first token. Of the other tokens only the keys and values
        are computed.
        """
        key_values = self.attention.key_values(
            self.attention_norm(x) if self.norm_first else x, rotary=rotary
        )
        first_rotary = None if rotary is None else (rotary[0][..., :1, :], rotary[1][..., :1, :])
        first_mask = masks.first_query(mask)

        def first_attention(y: Tensor) -> Tensor:
            out: Tensor = self.attention(
                y, key_values, mask=first_mask, rotary=first_rotary, head_gates=head_gates
            )
            return out

        first = x[:, :1]
        x = self._residual(first_attention, self.attention_norm, first, self.attention_output_norm)
        return self._feed_forward(x)

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self._residual(
            self.feed_forward, self.feed_forward_norm, x, self.feed_forward_output_norm
        )

    def _residual(
        self,
        part: Callable[[Tensor], Tensor],
        norm: nn.Module,
        x: Tensor,
        output_norm: nn.Module | None = None,
    ) -> Tensor:
        """Apply a part of the block with its norms and residual connection."""
        if self.norm_first:
            out = part(norm(x))
            return x + self.dropout(out if output_norm is None else output_norm(out))
        normed: Tensor = norm(x + self.dropout(part(x)))
        return normed
