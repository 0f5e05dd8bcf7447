"""LoRA: train a small product of two matrices beside each frozen weight (Hu et al. 2021, eq. 3).

    y = x W^T + (alpha / rank) x A^T B^T

A (rank, in) starts random and B (out, rank) zero, so a fresh adapter does not change the model.
`attach` adds such products to the chosen linear layers and freezes everything else. `merge` adds
them to the weights; `remove` deletes them. Frozen weights stay frozen after both: to train all
weights of a merged model, save the model and load it again.

`Linear.pack` copies a weight into the layout of the kernels for inference. Here it copies the
merged weight, so an adapter does not slow down inference.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chatwright.errors import InputError
from chatwright.model.dropout import Dropout
from chatwright.model.heads import is_head_parameter
from chatwright.model.linear import Linear
from chatwright.model.packed_weight import FusedActivation, activate


@dataclass(frozen=True, kw_only=True)
class LoRAConfig:
    """Settings of an adapter."""

    rank: int = 8
    """Rank of the products: rows of A, columns of B."""
    alpha: float = 16.0
    """The products are scaled by alpha / rank."""
    dropout: float = 0.0
    """Dropout rate of the products' inputs."""
    targets: tuple[str, ...] = ()
    """Ends of layer names, such as "query" or "feed_forward.up". Empty: all layers but the head."""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise self._refused("rank", "must be at least 1.")
        if not self.alpha > 0:
            raise self._refused("alpha", "must be above 0: at 0 the adapter changes nothing.")
        if not 0.0 <= self.dropout < 1.0:
            raise self._refused("dropout", "must be at least 0 and below 1.")

    def _refused(self, name: str, reason: str) -> InputError:
        value = getattr(self, name)
        return InputError(
            f"{name} ({value}) {reason}",
            remedy="Correct the value, or remove the setting.",
            field=name,
            value=value,
        )


class LoRALinear(Linear):
    """A linear layer that adds a product to the frozen weight of the layer that it replaces."""

    def __init__(self, base: Linear, rank: int, alpha: float, dropout: float) -> None:
        """Take over the weight and bias of `base`; the product starts at zero."""
        nn.Module.__init__(self)  # Linear.__init__ would allocate a second weight
        self.weight = base.weight
        self.bias = base.bias
        self.packed = None
        assert base.quantized is None, "a model is loaded in float32 to get an adapter"
        self.quantized = None
        self.row_adapters = None
        n_out, n_in = base.weight.shape
        self.lora_a = nn.Parameter(base.weight.new_zeros(rank, n_in))
        self.lora_b = nn.Parameter(base.weight.new_zeros(n_out, rank))
        self.alpha = alpha
        self.scale = alpha / rank
        self.dropout = Dropout(dropout)
        self.train(base.training)

    def forward(self, x: Tensor, activation: FusedActivation = "none") -> Tensor:
        """Apply the layer, the product and the activation. (..., in) -> (..., out)."""
        if self.packed is not None:
            return super().forward(x, activation)
        low_rank = F.linear(self.dropout(x), self.lora_a.to(x.dtype))  # (..., rank)
        product = F.linear(low_rank, self.lora_b.to(x.dtype))  # (..., out)
        return activate(super().forward(x) + product * self.scale, activation)

    def merged_weight(self) -> Tensor:
        """Return the weight plus the scaled product. (out, in)."""
        return self.weight + self.scale * (self.lora_b @ self.lora_a)

    def inference_weight(self) -> Tensor:
        """Return the weight that `pack` copies: the merged one, without a gradient. (out, in)."""
        return self.merged_weight().detach()


def attach(model: nn.Module, config: LoRAConfig, generator: torch.Generator) -> None:
    """Add a product to every layer the config names, in place, and freeze all other parameters.

    Raises:
        InputError: The config names no layer or an unsuitable one, or there is an adapter already.
    """
    if lora_layers(model):
        raise InputError(
            "The model already has an adapter.",
            remedy="Train it further without lora settings, or merge it first: chatwright merge.",
            field="lora",
        )
    layers = dict.fromkeys(_target_layers(model, config), (config.rank, config.alpha))
    insert_layers(model, layers, config.dropout)
    for layer in lora_layers(model).values():
        # Uniform in +-1/sqrt(in), as in the paper's code and in PEFT.
        with torch.no_grad():
            layer.lora_a.uniform_(-1, 1, generator=generator).div_(layer.lora_a.shape[1] ** 0.5)


def insert_layers(
    model: nn.Module, layers: Mapping[str, tuple[int, float]], dropout: float
) -> None:
    """Add zero products to the named layers, in place, and freeze all other parameters.

    The scalar head of a reward model stays trainable: the base, a language model, has none that
    was trained. `layers` maps a layer's name to its (rank, alpha).
    """
    model.requires_grad_(False)
    if (scalar_head := getattr(model, "scalar_head", None)) is not None:
        scalar_head.requires_grad_(True)
    for name, (rank, alpha) in layers.items():
        linear = model.get_submodule(name)
        assert isinstance(linear, Linear), f"{name} is not a Linear"
        model.set_submodule(name, LoRALinear(linear, rank, alpha, dropout))


def merge(model: nn.Module) -> None:
    """Add every product to its weight and replace the layers by plain ones, in place."""
    _replace(model, lambda layer: layer.merged_weight().detach())


def remove(model: nn.Module) -> None:
    """Remove every product, in place. The model is then the base model, bit for bit."""
    _replace(model, lambda layer: layer.weight.detach())


@contextmanager
def switched_off(model: nn.Module) -> Iterator[None]:
    """Let the model compute without its products inside the block."""
    layers = list(lora_layers(model).values())
    scales = [layer.scale for layer in layers]
    for layer in layers:
        layer.scale = 0.0
    try:
        yield
    finally:
        for layer, scale in zip(layers, scales, strict=True):
            layer.scale = scale


def lora_layers(model: nn.Module) -> dict[str, LoRALinear]:
    """Return the layers with a product, by name; empty if the model has no adapter."""
    return {
        name: module for name, module in model.named_modules() if isinstance(module, LoRALinear)
    }


def _replace(model: nn.Module, weight_of: Callable[[LoRALinear], Tensor]) -> None:
    for name, layer in lora_layers(model).items():
        n_out, n_in = layer.weight.shape
        plain = Linear(n_in, n_out)
        plain.weight = nn.Parameter(weight_of(layer), requires_grad=False)
        plain.bias = layer.bias
        model.set_submodule(name, plain.train(layer.training))


def _target_layers(model: nn.Module, config: LoRAConfig) -> dict[str, Linear]:
    """Return the layers that the config names, by name."""
    linears = {name: module for name, module in model.named_modules() if isinstance(module, Linear)}
    for target in config.targets:
        _require_match(target, linears)
    chosen = {name: layer for name, layer in linears.items() if _is_target(name, config.targets)}
    for name, linear in chosen.items():
        if config.rank > min(linear.weight.shape):
            raise InputError(
                f"lora.rank ({config.rank}) is too large for {name}, a matrix of "
                f"{tuple(linear.weight.shape)}: the product would not be smaller than the matrix.",
                remedy="Lower lora.rank.",
                field="lora.rank",
                value=config.rank,
            )
        if _is_shared(model, linear):
            raise InputError(
                f"lora.targets: {name} shares its weight with the embeddings, so an adapter for it "
                "cannot be merged.",
                remedy=f"Remove {name} from lora.targets.",
                field="lora.targets",
                value=name,
            )
    return chosen


def _require_match(target: str, linears: Mapping[str, Linear]) -> None:
    if not any(_is_target(name, (target,)) for name in linears):
        known = sorted({name.split(".")[-1] for name in linears})
        raise InputError(
            f"lora.targets: {target!r} names no linear layer of this model.",
            remedy=f"Choose from {', '.join(known)}, or from longer ends such as attention.query.",
            field="lora.targets",
            value=target,
        )


def _is_target(name: str, targets: tuple[str, ...]) -> bool:
    """Match names as PEFT does: a target is the whole name, or its end after a dot."""
    if not targets:
        return not is_head_parameter(name)
    return any(name == target or name.endswith("." + target) for target in targets)


def _is_shared(model: nn.Module, linear: Linear) -> bool:
    owners = [
        module
        for module in model.modules()
        if any(p is linear.weight for p in module.parameters(recurse=False))
    ]
    return len(owners) > 1
