"""A linear layer that computes in the dtype of its input and can be packed for inference.

Weights are float32. Training in bfloat16 casts them on use, so the optimizer keeps full precision.

`pack` converts a weight to oneDNN's layout. The product of a row with a packed weight is then
bit-identical for any number of rows from two on, so a reply does not depend on the other requests
in the batch. Packed weights have no gradient: use them under `torch.no_grad` only.

The layer also applies the activation that follows it. A packed layer computes the activation in
oneDNN's kernel: torch's silu and gelu compute the last few numbers of a tensor in another way than
the rest, so the bits of a row would depend on its index in the tensor.
"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FusedActivation = Literal["none", "relu", "silu", "gelu", "gelu_exact"]

# Our name of an activation -> oneDNN's name and algorithm.
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
        """Allocate weight and bias without values."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features)) if bias else None
        self.packed: Tensor | None = None

    def forward(self, x: Tensor, activation: FusedActivation = "none") -> Tensor:
        """Apply the layer and the activation. (..., in_features) -> (..., out_features)."""
        if self.packed is not None:
            return self._forward_packed(x, activation)
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return activate(F.linear(x, self.weight.to(x.dtype), bias), activation)

    def _forward_packed(self, x: Tensor, activation: FusedActivation) -> Tensor:
        assert not torch.is_grad_enabled(), (
            "packed weights have no gradient; call unpack() before training"
        )
        rows = x.reshape(-1, x.shape[-1])  # (N, in_features)
        n_row = rows.shape[0]
        if n_row == 1:  # oneDNN uses another kernel for a single row, with different bits
            rows = rows.expand(2, -1).contiguous()
        name, algorithm = _ONEDNN_NAMES[activation]
        out: Tensor = torch.ops.mkldnn._linear_pointwise(
            rows, self.packed, self.bias, name, [], algorithm
        )
        return out[:n_row].view(*x.shape[:-1], -1)  # (..., out_features)

    def pack(self) -> None:
        """Use a packed copy of the weight. Call it again after the weight has changed."""
        self.packed = pack_weight(self.weight.detach())

    def unpack(self) -> None:
        """Use the weight itself again."""
        assert not self.weight.is_meta, "the weight was released; load the model again"
        self.packed = None

    def release_weight(self) -> None:
        """Give back the memory of the weight and keep only the packed copy and the shape."""
        assert self.packed is not None, "pack the weight before you release it"
        self.weight = nn.Parameter(torch.empty_like(self.weight, device="meta"), False)


def activate(x: Tensor, activation: FusedActivation) -> Tensor:
    """Apply an activation by name. The shape does not change."""
    return x if activation == "none" else _ACTIVATIONS[activation](x)


def pack_weight(weight: Tensor) -> Tensor:
    """Convert a weight (out, in) to oneDNN's layout, which only `Linear` can use."""
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, None)
    return packed


def pack_linears(model: nn.Module, keeps_weights: bool = True) -> bool:
    """Pack every Linear of the model; return False, and pack none, where that is impossible.

    Packing needs float32 weights on a CPU and a torch build with oneDNN.

    Args:
        model: The model.
        keeps_weights: Whether the weights stay in memory beside their packed copies. If not, the
            model takes half the memory and cannot be unpacked. A weight that another module uses
            too, such as that of a tied head, always stays.
    """
    linears = [module for module in model.modules() if isinstance(module, Linear)]
    assert not any(linear.weight.is_meta for linear in linears), (
        "the weights were released; load the model again"
    )
    has_kernel = torch.backends.mkldnn.is_available() and hasattr(
        torch.ops.mkldnn, "_reorder_linear_weight"
    )
    is_float32_on_cpu = all(
        linear.weight.device.type == "cpu" and linear.weight.dtype == torch.float32
        for linear in linears
    )
    if not has_kernel or not is_float32_on_cpu:
        return False
    n_user = _count_users(model)
    for linear in linears:
        linear.pack()
        if not keeps_weights and n_user[id(linear.weight)] == 1:
            linear.release_weight()
    return True


def _count_users(model: nn.Module) -> Counter[int]:
    """Count the modules that use each parameter, by the parameter's id."""
    return Counter(
        id(parameter)
        for module in model.modules()
        for parameter in module.parameters(recurse=False)
    )


def unpack_linears(model: nn.Module) -> None:
    """Unpack every Linear of the model."""
    for module in model.modules():
        if isinstance(module, Linear):
            module.unpack()
