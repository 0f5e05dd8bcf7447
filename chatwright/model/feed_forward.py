"""The two-layer network each token passes through alone.

GELU: Hendrycks & Gimpel 2016 (the tanh form of GPT-2). ReLU squared: So et al. 2021. SwiGLU: Shazeer 2020, eq. 6.
"""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from chatwright.model.linear import Linear

Activation = Literal["gelu", "relu2", "swiglu"]


class FeedForward(nn.Module):
    """(B, T, D) -> (B, T, D), through `hidden` numbers per token."""

    def __init__(self, width: int, hidden: int, activation: Activation, bias: bool = False) -> None:
        super().__init__()
        self.activation = activation
        self.gate = Linear(width, hidden, bias) if activation == "swiglu" else None
        self.up = Linear(width, hidden, bias)
        self.down = Linear(hidden, width, bias)

    def forward(self, x: Tensor) -> Tensor:
        up = self.up(x)                                                      # (B, T, hidden)
        if self.gate is not None:
            up = F.silu(self.gate(x)) * up
        elif self.activation == "relu2":
            up = F.relu(up).square()
        else:
            up = F.gelu(up, approximate="tanh")
        return self.down(up)                                                 # (B, T, D)
