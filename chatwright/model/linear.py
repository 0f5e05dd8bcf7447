"""A linear layer that follows the dtype of its input and can run packed for inference.

Weights are kept in float32. Training in bfloat16 casts them on the way in, so the optimizer sees full precision.
`pack` asks oneDNN for a weight layout whose results do not depend on how many rows are computed together (two rows or more),
which is what makes a reply alone equal the same reply in a crowd. Packed weights have no gradient: they run under no_grad only.

The activation that follows a layer can be asked for along with it. Packed, it is computed inside the kernel: torch's own silu and
gelu treat the last few numbers of a tensor differently from the rest, so a row's bits would depend on where it ends.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Fused = Literal["none", "relu", "silu", "gelu", "gelu_exact"]
_ONEDNN_NAMES = {
    "none": ("none", ""),
    "relu": ("relu", ""),
    "silu": ("swish", ""),
    "gelu": ("gelu", "tanh"),
    "gelu_exact": ("gelu", "none"),
}
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "silu": F.silu,
    "gelu": partial(F.gelu, approximate="tanh"),
    "gelu_exact": F.gelu,
}


class Linear(nn.Module):
    """y = activation(x W^T + b). (..., in_features) -> (..., out_features)."""

    def __init__(self, in_features: int, out_features: int, bias: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features)) if bias else None
        self.packed: Tensor | None = None

    def forward(self, x: Tensor, activation: Fused = "none") -> Tensor:
        if self.packed is not None:
            return self._forward_packed(x, activation)
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return activate(F.linear(x, self.weight.to(x.dtype), bias), activation)

    def _forward_packed(self, x: Tensor, activation: Fused) -> Tensor:
        assert not torch.is_grad_enabled(), (
            "packed weights have no gradient; call unpack() before training"
        )
        rows = x.reshape(-1, x.shape[-1])  # (N, in)
        n = rows.shape[0]
        if n == 1:  # one row alone takes another kernel with other bits
            rows = rows.expand(2, -1).contiguous()
        name, algorithm = _ONEDNN_NAMES[activation]
        out: Tensor = torch.ops.mkldnn._linear_pointwise(
            rows, self.packed, self.bias, name, [], algorithm
        )
        return out[:n].view(*x.shape[:-1], -1)  # (..., out)

    def pack(self) -> None:
        """Switch to the packed weight; a later change of `weight` is not seen until `pack` is called again."""
        self.packed = pack_weight(self.weight.detach())

    def unpack(self) -> None:
        self.packed = None


def activate(x: Tensor, activation: Fused) -> Tensor:
    return x if activation == "none" else _ACTIVATIONS[activation](x)


def pack_weight(weight: Tensor) -> Tensor:
    """(out, in) in oneDNN's own layout; only `Linear` knows what to do with it."""
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, None)
    return packed


def pack_linears(model: nn.Module) -> bool:
    """Pack every Linear below `model`. False, and nothing changed, where this torch build or device has no such kernel."""
    linears = [module for module in model.modules() if isinstance(module, Linear)]
    if not torch.backends.mkldnn.is_available():
        return False
    if not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return False
    if any(
        linear.weight.device.type != "cpu" or linear.weight.dtype != torch.float32
        for linear in linears
    ):
        return False
    for linear in linears:
        linear.pack()
    return True


def unpack_linears(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, Linear):
            module.unpack()
