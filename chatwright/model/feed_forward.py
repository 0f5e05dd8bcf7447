"""The two-layer network each token passes through alone.

ReLU: Vaswani et al. 2017, eq. 2. GELU: Hendrycks & Gimpel 2016 (the tanh form of GPT-2; BERT's is exact).
ReLU squared: So et al. 2021. SwiGLU: Shazeer 2020, eq. 6.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from chatwright.model.hand_gradients import SquaredReLU, SwishGate
from chatwright.model.linear import Linear

Activation = Literal["relu", "silu", "gelu", "gelu_exact", "relu2", "swiglu"]


class FeedForward(nn.Module):
    """(B, T, D) -> (B, T, D), through `hidden` numbers per token."""

    def __init__(self, d_model: int, d_ff: int, activation: Activation, bias: bool = False) -> None:
        super().__init__()
        self.activation = activation
        self.gate = Linear(d_model, d_ff, bias) if activation == "swiglu" else None
        self.up = Linear(d_model, d_ff, bias)
        self.down = Linear(d_ff, d_model, bias)

    def forward(self, x: Tensor) -> Tensor:
        if self.gate is not None and torch.is_grad_enabled():
            up = SwishGate.apply(self.gate(x), self.up(x))  # (B, T, hidden)
        elif self.gate is not None:
            up = self.gate(x, "silu") * self.up(x)
        elif self.activation == "relu2":
            up = SquaredReLU.apply(self.up(x))
        else:
            up = self.up(x, self.activation)
        return self.down(up)  # (B, T, D)
