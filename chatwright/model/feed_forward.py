"""The feed-forward network of a block: linear layers, applied to each token independently.

ReLU: Vaswani et al. 2017, eq. 2. GELU: Hendrycks & Gimpel 2016; `gelu` is the tanh approximation of
GPT-2, `gelu_exact` is BERT's. ReLU squared: So et al. 2021. SwiGLU and GeGLU (here with the tanh
approximation, as in Gemma): Shazeer 2020, eq. 6.
"""

from typing import Literal

import torch
from torch import Tensor

from chatwright.model.custom_autograd import SquaredReLU, SwishGate
from chatwright.model.linear import Joining, Linear
from chatwright.model.packed_weight import FusedActivation, activate_rows

Activation = Literal["relu", "silu", "gelu", "gelu_exact", "relu2", "swiglu", "geglu"]

# Activations with a gate -> the activation of the gate.
GATES: dict[str, FusedActivation] = {"swiglu": "silu", "geglu": "gelu"}


class FeedForward(Joining):
    """(B, T, D) -> (B, T, D), with d_ff numbers per token inside."""

    is_gated = True

    def __init__(self, d_model: int, d_ff: int, activation: Activation, bias: bool = False) -> None:
        """Allocate the layers; SwiGLU and GeGLU have a third one, the gate."""
        super().__init__()
        self.activation = activation
        self.gate = Linear(d_model, d_ff, bias) if activation in GATES else None
        self.up = Linear(d_model, d_ff, bias)
        self.down = Linear(d_ff, d_model, bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        if self.joined is not None:
            gate, up = self.joined(x).flatten(0, 1).chunk(2, dim=-1)  # (B * T, d_ff)
            up = activate_rows(gate, GATES[self.activation]).mul_(up).view(*x.shape[:2], -1)
        elif self.gate is not None and self.activation == "swiglu" and torch.is_grad_enabled():
            up = SwishGate.apply(self.gate(x), self.up(x))  # (B, T, d_ff)
        elif self.gate is not None:
            up = self.up.times(x, self.gate(x, GATES[self.activation]))
        elif self.activation == "relu2":
            up = SquaredReLU.apply(self.up(x))
        else:
            up = self.up(x, self.activation)
        return self.down(up)  # (B, T, D)

    def joined_layers(self) -> tuple[Linear, ...]:
        """Return gate and up projection, if there is a gate."""
        return () if self.gate is None else (self.gate, self.up)
