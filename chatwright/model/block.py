"""One layer of a Transformer: attention and feed-forward, each with a norm and a residual around it.

Pre-norm (GPT-2 and all since): x + f(norm(x)). Post-norm (2017, GPT-1): norm(x + f(x)).
"""

from torch import Tensor, nn

from chatwright.model.attention import Attention
from chatwright.model.dropout import Dropout
from chatwright.model.feed_forward import FeedForward
from chatwright.model.kv_cache import LayerCache
from chatwright.model.masks import Mask
from chatwright.model.positions import Rotary


class Block(nn.Module):
    """(B, T, D) -> (B, T, D)"""

    def __init__(self, attention: Attention, attention_norm: nn.Module, feed_forward: FeedForward,
                 feed_forward_norm: nn.Module, norm_first: bool = True, dropout: float = 0.0) -> None:
        super().__init__()
        self.attention, self.attention_norm = attention, attention_norm
        self.feed_forward, self.feed_forward_norm = feed_forward, feed_forward_norm
        self.norm_first = norm_first
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Mask = None, rotary: Rotary | None = None, cache: LayerCache | None = None,
                head_gates: Tensor | None = None) -> Tensor:
        if self.norm_first:
            x = x + self.dropout(self.attention(self.attention_norm(x), mask=mask, rotary=rotary, cache=cache, head_gates=head_gates))
            return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        x = self.attention_norm(x + self.dropout(self.attention(x, mask=mask, rotary=rotary, cache=cache, head_gates=head_gates)))
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))
