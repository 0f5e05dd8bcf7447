"""Weights packed for inference, and the products of rows with them.

A `WeightFormat` packs a weight, a `PackedWeight` multiplies rows by it. `Float32` is oneDNN's
layout of the same numbers; `engine/formats.py` has formats with fewer bits. In every format the
product of a row is bit-identical for any number of rows, so a reply does not depend on the other
requests in the batch.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.model.quantized_weight import QuantizedWeight

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

VECTOR = 32
"""torch computes activations this many numbers at a time; fewer numbers get another function."""
SERIAL_NUMBERS = 16_384
"""torch computes up to this many numbers of gelu in one thread, and twice as many of silu.

More are cut into parts for several threads, at any number.
"""


class PackedWeight(Protocol):
    """A weight (out, in) in some format."""

    @property
    def nbytes(self) -> int:
        """Memory of the packed weight in bytes."""
        ...

    def matmul(self, x: Tensor, bias: Tensor | None, activation: FusedActivation) -> Tensor:
        """Compute activation(x W^T + bias). (..., in) -> (..., out)."""
        ...

    def times(self, x: Tensor, bias: Tensor | None, factor: Tensor) -> Tensor:
        """Compute (x W^T + bias) * factor. (..., in), (..., out) -> (..., out)."""
        ...


class WeightFormat(Protocol):
    """A way to store weights for inference."""

    name: str
    """How the user names the format."""
    error: str
    """What the format costs in accuracy."""
    joins_gates: bool
    """Whether a gate and the layer that it multiplies are faster as one matrix."""
    keeps_quantized: bool = False
    """Whether the format computes with the codes of a GGUF file, if the model holds them."""

    @property
    def head(self) -> "WeightFormat":
        """The format of the model's head."""
        ...

    def obstacle(self) -> str:
        """Return why this machine cannot use the format; "" if it can."""
        ...

    def pack(self, weight: Tensor) -> PackedWeight:
        """Pack a float32 weight (out, in) on a CPU."""
        ...

    def pack_quantized(self, weight: QuantizedWeight) -> PackedWeight:
        """Pack a weight of a GGUF file; here the float32 values that it stands for."""
        return self.pack(weight.values())


class Float32Weight:
    """A float32 weight in oneDNN's layout."""

    def __init__(self, weight: Tensor) -> None:
        """Copy a weight (out, in) into the layout."""
        self.n_out, self.n_in = weight.shape
        self.weight: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, None)
        self.nbytes = weight.nbytes

    def matmul(self, x: Tensor, bias: Tensor | None, activation: FusedActivation) -> Tensor:
        """Compute activation(x W^T + bias). (..., in) -> (..., out).

        oneDNN computes the activation in its kernel.
        """
        name, algorithm = _ONEDNN_NAMES[activation]
        product = torch.ops.mkldnn._linear_pointwise.default
        if x.numel() != self.n_in:
            out: Tensor = product(x, self.weight, bias, name, [], algorithm)
            return out
        out = product(_twice(x, self.n_in), self.weight, bias, name, [], algorithm)
        return out[:1].view(*x.shape[:-1], self.n_out)

    def times(self, x: Tensor, bias: Tensor | None, factor: Tensor) -> Tensor:
        """Compute (x W^T + bias) * factor. (..., in), (..., out) -> (..., out).

        oneDNN multiplies in its kernel.
        """
        product = torch.ops.mkldnn._linear_pointwise.binary
        if x.numel() != self.n_in:
            out: Tensor = product(x, factor, self.weight, bias, "mul")
            return out
        factors = _twice(factor, self.n_out).contiguous()
        out = product(_twice(x, self.n_in), factors, self.weight, bias, "mul")
        return out[:1].view(factor.shape)


def _twice(x: Tensor, n: int) -> Tensor:
    """Repeat a single row: oneDNN has another kernel for it, with different bits. -> (2, n)."""
    return x.reshape(1, n).expand(2, -1)


class Float32(WeightFormat):
    """The numbers of the model, unchanged, in oneDNN's layout."""

    name = "float32"
    error = "none: the numbers are the model's own"
    joins_gates = False  # oneDNN multiplies by the gate in its kernel

    @property
    def head(self) -> "Float32":
        """The format of the head."""
        return self

    def obstacle(self) -> str:
        """Return why this machine cannot use the format; "" if it can."""
        has_kernel = torch.backends.mkldnn.is_available() and hasattr(
            torch.ops.mkldnn, "_reorder_linear_weight"
        )
        return "" if has_kernel else "this build of torch has no oneDNN"

    def pack(self, weight: Tensor) -> Float32Weight:
        """Pack a weight (out, in)."""
        return Float32Weight(weight)


FLOAT32 = Float32()


def activate(x: Tensor, activation: FusedActivation) -> Tensor:
    """Apply an activation by name. The shape does not change."""
    return x if activation == "none" else _ACTIVATIONS[activation](x)


def activate_rows(x: Tensor, activation: FusedActivation) -> Tensor:
    """Apply an activation so that a row's bits do not depend on the other rows. (N, n) -> (N, n).

    torch computes numbers at the ends of a tensor, and of each thread's part, by another function
    with other bits. So rows are padded to whole vectors, in parts that one thread computes.
    """
    if activation in ("none", "relu"):
        return activate(x, activation)
    n_row, n_column = x.shape
    n_padded = -(-n_column // VECTOR) * VECTOR
    flat = F.pad(x, (0, n_padded - n_column)).flatten()
    parts = [activate(part, activation) for part in flat.split(SERIAL_NUMBERS)]
    flat = parts[0] if len(parts) == 1 else torch.cat(parts)
    return flat.view(n_row, n_padded)[:, :n_column]
