"""A linear layer that computes in the dtype of its input and can be packed for inference.

Weights are float32. Training in bfloat16 casts them on use, so the optimizer keeps full precision.

`pack` converts a weight to a format for inference (`packed_weight.py`). Packed weights have no
gradient: use them under `torch.no_grad` only. Layers with the same input can be packed as one
matrix: fewer and larger products are faster.

The layer also applies the activation that follows it, because oneDNN computes it in its kernel.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chatwright.model.packed_weight import (
    FLOAT32,
    FusedActivation,
    PackedWeight,
    WeightFormat,
    activate,
)
from chatwright.model.quantized_weight import QuantizedWeight
from chatwright.model.row_adapters import RowAdapters

NO_GRADIENT = "packed weights have no gradient; call unpack() before training"


class Linear(nn.Module):
    """y = activation(x W^T + b). (..., in_features) -> (..., out_features)."""

    def __init__(self, in_features: int, out_features: int, bias: bool = False) -> None:
        """Allocate weight and bias without values."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features)) if bias else None
        self.packed: PackedWeight | None = None
        # The weight as a GGUF file stores it; `weight` then has a shape and no memory.
        self.quantized: QuantizedWeight | None = None
        # Adapters of single requests, which the engine adds to a packed layer.
        self.row_adapters: RowAdapters | None = None

    def forward(self, x: Tensor, activation: FusedActivation = "none") -> Tensor:
        """Apply the layer and the activation. (..., in_features) -> (..., out_features)."""
        if self.row_adapters is not None and self.row_adapters.rows.groups:
            return self.row_adapters.apply(x, self._multiply, activation)
        if self.packed is not None:
            return self._multiply(x, activation)
        bias = None if self.bias is None else self.bias.to(x.dtype)
        weight: Tensor = self.weight
        if self.quantized is not None:
            assert not torch.is_grad_enabled(), "quantized weights have no gradient"
            weight = self.quantized.values()
        return activate(F.linear(x, weight.to(x.dtype), bias), activation)

    def times(self, x: Tensor, factor: Tensor) -> Tensor:
        """Apply the layer and multiply its result. (..., in), (..., out) -> (..., out)."""
        has_adapters = self.row_adapters is not None and bool(self.row_adapters.rows.groups)
        if self.packed is None or has_adapters:
            out: Tensor = self(x)
            return out * factor
        assert not torch.is_grad_enabled(), NO_GRADIENT
        return self.packed.times(x, self.bias, factor)

    def _multiply(self, x: Tensor, activation: FusedActivation) -> Tensor:
        assert self.packed is not None, "only a packed layer has adapters of single rows"
        return multiply(x, self.packed, self.bias, activation)

    def inference_weight(self) -> Tensor:
        """Return the weight that `pack` copies, (out, in)."""
        return self.weight.detach() if self.quantized is None else self.quantized.values()

    def pack(self, weight_format: WeightFormat = FLOAT32) -> None:
        """Use a packed copy of the weight. Call it again after the weight has changed."""
        self.packed = _pack((self,), weight_format)

    def unpack(self) -> None:
        """Use the weight itself again."""
        is_released = self.weight.is_meta and self.quantized is None
        assert not is_released, "the weight was released; load the model again"
        self.packed = None

    def keep_quantized(self, weight: QuantizedWeight) -> None:
        """Take a weight as a GGUF file stores it. The layer can then not be trained."""
        self.release_weight()
        self.quantized = weight

    def release_weight(self) -> None:
        """Give back the memory of the weight and keep only its shape."""
        empty = torch.empty_like(self.weight, device="meta")
        self.weight = nn.Parameter(empty, self.weight.requires_grad)
        self.quantized = None


class JoinedLinears:
    """Linear layers of one input, packed as one matrix."""

    def __init__(self, linears: tuple[Linear, ...], weight_format: WeightFormat) -> None:
        """Pack the weights below each other."""
        self.packed = _pack(linears, weight_format)
        self.sizes = [len(one.weight) for one in linears]
        biases = [one.bias for one in linears if one.bias is not None]
        self.bias = torch.cat([bias.detach() for bias in biases]) if biases else None
        self.n_in = linears[0].weight.shape[1]
        self.row_adapters: RowAdapters | None = None
        self.norm_weights: Tensor | None = None
        """Norm weights of the heads that the product computes, if attention has such norms."""

    def __call__(self, x: Tensor, activation: FusedActivation = "none") -> Tensor:
        """Return the results of all layers beside each other. (..., in) -> (..., sum of out)."""
        if self.row_adapters is not None and self.row_adapters.rows.groups:
            return self.row_adapters.apply(x, self._multiply, activation)
        return self._multiply(x, activation)

    def _multiply(self, x: Tensor, activation: FusedActivation) -> Tensor:
        return multiply(x, self.packed, self.bias, activation)


class Joining(nn.Module):
    """A module whose input goes into several linear layers, which can be packed as one matrix."""

    is_gated = False
    """Whether the layers are a gate and the one that it multiplies."""

    def __init__(self) -> None:
        """Start with separate layers."""
        super().__init__()
        self.joined: JoinedLinears | None = None

    def joined_layers(self) -> tuple[Linear, ...]:
        """Return the layers that are packed as one matrix; () if they have to stay separate."""
        raise NotImplementedError


def multiply(
    x: Tensor, packed: PackedWeight, bias: Tensor | None, activation: FusedActivation = "none"
) -> Tensor:
    """Compute activation(x W^T + bias) with a packed weight. (..., in) -> (..., out)."""
    assert not torch.is_grad_enabled(), NO_GRADIENT
    return packed.matmul(x, bias, activation)


def _pack(linears: tuple[Linear, ...], weight_format: WeightFormat) -> PackedWeight:
    """Pack the weights of layers with the same input as one matrix."""
    quantized = [linear.quantized for linear in linears if linear.quantized is not None]
    if len(quantized) == len(linears):
        return weight_format.pack_quantized(QuantizedWeight.joined(quantized))
    if len(linears) == 1:
        return weight_format.pack(linears[0].inference_weight())
    return weight_format.pack(torch.cat([linear.inference_weight() for linear in linears]))


def quantized_weights(model: nn.Module) -> dict[str, QuantizedWeight]:
    """Return the weights that are as a GGUF file stores them, by the parameter's name."""
    return {
        f"{name}.weight": module.quantized
        for name, module in model.named_modules()
        if isinstance(module, Linear) and module.quantized is not None
    }


def pack_linears(
    model: nn.Module, keeps_weights: bool = True, weight_format: WeightFormat = FLOAT32
) -> bool:
    """Pack every Linear of the model; return False, and pack none, where that is impossible.

    Packing needs float32 weights on a CPU and a torch build with oneDNN.

    Args:
        model: The model.
        keeps_weights: Whether the weights stay in memory beside their packed copies. If not, the
            model takes half the memory and cannot be unpacked. A weight that another module uses
            too, such as that of a tied head, always stays.
        weight_format: How the weights are stored. The caller checks that this machine can use it.
    """
    linears = [module for module in model.modules() if isinstance(module, Linear)]
    unquantized = [linear.weight for linear in linears if linear.quantized is None]
    assert not any(weight.is_meta for weight in unquantized), (
        "the weights were released; load the model again"
    )
    is_float32_on_cpu = all(
        weight.device.type == "cpu" and weight.dtype == torch.float32 for weight in unquantized
    )
    if FLOAT32.obstacle() or not is_float32_on_cpu:
        return False
    n_user = _count_users(model)

    def release(*packed: Linear) -> None:
        for linear in packed:
            if not keeps_weights and n_user[id(linear.weight)] == 1:
                linear.release_weight()

    joined: set[int] = set()
    for module in model.modules():
        if not isinstance(module, Joining) or (module.is_gated and not weight_format.joins_gates):
            continue
        together = module.joined_layers()
        if together and len({_number_type(linear) for linear in together}) == 1:
            module.joined = JoinedLinears(together, weight_format)
            joined |= {id(linear) for linear in together}
            release(*together)
    for linear in linears:
        if id(linear) not in joined:
            is_head = linear is getattr(model, "head", None)
            linear.pack(weight_format.head if is_head else weight_format)
            release(linear)
    return True


def _number_type(linear: Linear) -> str:
    return "" if linear.quantized is None else linear.quantized.number_type


class Product(Protocol):
    """A product with a packed weight."""

    @property
    def packed(self) -> PackedWeight | None:
        """The weight; None before it is packed."""
        ...

    def __call__(self, x: Tensor, activation: FusedActivation = "none") -> Tensor:
        """Compute activation(x W^T + bias). (..., in) -> (..., out)."""
        ...


def products(model: nn.Module) -> Iterator[tuple[str, tuple[int, int], Product]]:
    """Yield each product with a weight that inference computes: name, shape (out, in), function."""
    joined: set[int] = set()
    for name, module in model.named_modules():
        if isinstance(module, Joining) and module.joined is not None:
            joined |= {id(linear) for linear in module.joined_layers()}
            yield name, (sum(module.joined.sizes), module.joined.n_in), module.joined
        if isinstance(module, Linear) and id(module) not in joined:
            n_out, n_in = module.weight.shape
            yield name, (n_out, n_in), module


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
        if isinstance(module, Joining):
            module.joined = None
