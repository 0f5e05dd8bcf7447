"""LoRA: tune a model by a small product of two matrices beside each of its frozen ones (Hu et al. 2021, eq. 3).

    y = x W^T + (alpha / rank) x A^T B^T          A (rank, in) drawn at random, B (out, rank) zero: the start is the base itself

`attach` puts such a product beside the linear layers that are named and freezes everything else; `merge` adds it into W, `remove` takes it
off. Either way what was frozen stays frozen: to train all weights of a merged model, save it and load it again.
Packed for inference, the product is already in the weight: an adapter costs nothing to serve.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chatwright.model.dropout import Dropout
from chatwright.model.heads import is_head_parameter
from chatwright.model.linear import Fused, Linear, activate, pack_weight


@dataclass(frozen=True, kw_only=True)
class LoRAConfig:
    rank: int = 8
    alpha: float = 16.0  # the product is scaled by alpha / rank
    dropout: float = 0.0  # of what goes into the product
    targets: tuple[
        str, ...
    ] = ()  # ends of linear layers' names, such as "query" or "feed_forward.up"; none: every one but the head

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"rank ({self.rank}) must be at least 1")
        if not self.alpha > 0:
            raise ValueError(
                f"alpha ({self.alpha}) must be above 0, or the adapter would change nothing"
            )
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout ({self.dropout}) must be at least 0 and below 1")


class LoRALinear(Linear):
    """A linear layer that shares another one's weight and adds the product. (..., in) -> (..., out)."""

    def __init__(self, base: Linear, rank: int, alpha: float, dropout: float) -> None:
        nn.Module.__init__(self)  # Linear's own would allocate a second weight
        self.weight, self.bias, self.packed = base.weight, base.bias, None
        n_out, n_in = base.weight.shape
        self.lora_a = nn.Parameter(base.weight.new_zeros(rank, n_in))
        self.lora_b = nn.Parameter(base.weight.new_zeros(n_out, rank))
        self.alpha, self.scale = alpha, alpha / rank
        self.dropout = Dropout(dropout)
        self.train(base.training)

    def forward(self, x: Tensor, activation: Fused = "none") -> Tensor:
        if self.packed is not None:
            return super().forward(x, activation)
        narrow = F.linear(self.dropout(x), self.lora_a.to(x.dtype))  # (..., rank)
        return activate(
            super().forward(x) + F.linear(narrow, self.lora_b.to(x.dtype)) * self.scale, activation
        )

    def merged_weight(self) -> Tensor:
        return self.weight + self.scale * (self.lora_b @ self.lora_a)

    def pack(self) -> None:
        self.packed = pack_weight(self.merged_weight().detach())


def attach(model: nn.Module, config: LoRAConfig, generator: torch.Generator) -> None:
    """Put a product beside every linear layer the config names, in place, and freeze the rest. Raises ValueError where it names none."""
    if linears(model):
        raise ValueError(
            "the model already has an adapter: go on training that one without lora settings, or merge it first (chatwright merge)."
        )
    place(model, dict.fromkeys(_chosen(model, config), (config.rank, config.alpha)), config.dropout)
    for adapted in linears(model).values():
        # Uniform in +-1/sqrt(in), as the paper's code and PEFT have it.
        with torch.no_grad():
            adapted.lora_a.uniform_(-1, 1, generator=generator).div_(adapted.lora_a.shape[1] ** 0.5)


def place(model: nn.Module, layers: Mapping[str, tuple[int, float]], dropout: float) -> None:
    """Products of zeros beside the layers, each of its own (rank, alpha), and everything else frozen. In place."""
    model.requires_grad_(False)
    for name, (rank, alpha) in layers.items():
        linear = model.get_submodule(name)
        assert isinstance(linear, Linear), f"{name} is no linear layer"
        model.set_submodule(name, LoRALinear(linear, rank, alpha, dropout))


def merge(model: nn.Module) -> None:
    """Every product becomes part of its weight; plain linear layers are left. In place."""
    _replace(model, lambda adapted: adapted.merged_weight().detach())


def remove(model: nn.Module) -> None:
    """Take every product off: the base as it was, to the bit. In place."""
    _replace(model, lambda adapted: adapted.weight.detach())


def linears(model: nn.Module) -> dict[str, LoRALinear]:
    """The layers that carry a product, by name; empty where no adapter is attached."""
    return {
        name: module for name, module in model.named_modules() if isinstance(module, LoRALinear)
    }


def _replace(model: nn.Module, weight_of: Callable[[LoRALinear], Tensor]) -> None:
    for name, adapted in linears(model).items():
        plain = Linear(adapted.weight.shape[1], adapted.weight.shape[0])
        plain.weight, plain.bias = (
            nn.Parameter(weight_of(adapted), requires_grad=False),
            adapted.bias,
        )
        model.set_submodule(name, plain.train(adapted.training))


def _chosen(model: nn.Module, config: LoRAConfig) -> dict[str, Linear]:
    all_linears = {
        name: module for name, module in model.named_modules() if isinstance(module, Linear)
    }
    chosen = {
        name: linear for name, linear in all_linears.items() if _is_target(name, config.targets)
    }
    for target in config.targets:
        if not any(_is_target(name, (target,)) for name in all_linears):
            known = sorted({name.split(".")[-1] for name in all_linears})
            raise ValueError(
                f"lora.targets: {target!r} names no linear layer of this model. Choose from {', '.join(known)}, or a longer end "
                "of a name such as attention.query."
            )
    for name, linear in chosen.items():
        if config.rank > min(linear.weight.shape):
            raise ValueError(
                f"lora.rank ({config.rank}) is larger than {name}, a matrix of {tuple(linear.weight.shape)}: the product would not "
                "be smaller than what it stands beside. Lower lora.rank."
            )
        if _is_shared(model, linear):
            raise ValueError(
                f"lora.targets: {name} shares its weight with the embeddings, so it cannot be merged. Leave it out of lora.targets."
            )
    return chosen


def _is_target(name: str, targets: tuple[str, ...]) -> bool:
    """As PEFT reads names: the whole of it, or its end after a dot."""
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
