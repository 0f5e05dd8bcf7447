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

    def matmul(self, rows: Tensor, bias: Tensor | None, activation: FusedActivation) -> Tensor:
        """Compute activation(rows W^T + bias). (N, in) -> (N, out)."""
        ...


class WeightFormat(Protocol):
    """A way to store weights for inference."""

    name: str
    """How the user names the format."""
    error: str
    """What the format costs in accuracy."""

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


class Float32Weight:
    """A float32 weight in oneDNN's layout."""

    def __init__(self, weight: Tensor) -> None:
        """Copy a weight (out, in) into the layout."""
        self.weight: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, None)
        self.nbytes = weight.nbytes

    def matmul(self, rows: Tensor, bias: Tensor | None, activation: FusedActivation) -> Tensor:
        """Compute activation(rows W^T + bias). (N, in) -> (N, out).

        oneDNN computes the activation in its kernel.
        """
        n_row = rows.shape[0]
        if n_row == 1:  # oneDNN uses another kernel for a single row, with different bits
            rows = rows.expand(2, -1).contiguous()
        name, algorithm = _ONEDNN_NAMES[activation]
        out: Tensor = torch.ops.mkldnn._linear_pointwise(
            rows, self.weight, bias, name, [], algorithm
        )
        return out[:n_row]


class Float32:
    """The numbers of the model, unchanged, in oneDNN's layout."""

    name = "float32"
    error = "none: the numbers are the model's own"

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
