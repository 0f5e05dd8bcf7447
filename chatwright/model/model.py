"""What checkpoints, training and inspection may ask of any model: its settings, its device, and one forward pass to the last layer's output."""

from typing import Any, Protocol

import torch
from torch import Tensor, nn


class ModelConfig(Protocol):
    """A frozen dataclass beside the class it configures."""

    @property
    def vocab_size(self) -> int: ...

    @property
    def context_length(self) -> int: ...  # most tokens the model can look at


class Model(nn.Module):
    """A class and no protocol, because a model is also a module and Python cannot type "both"."""

    config: ModelConfig
    sparse_tables: tuple[str, ...] = (
        "ngrams.",
    )  # beginnings of names: tables of which a step touches few rows, with sparse gradients

    def hidden_states(self, *args: Any, **kwargs: Any) -> Tensor:
        """The last layer's normed output, before any head. (B, T) -> (B, T, D)"""
        raise NotImplementedError

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device


def count_parameters(model: nn.Module) -> int:
    """Every weight once, tied ones included once; fixed tables (sine/cosine) not at all."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Those that learn, by name: all but fixed tables, and with an adapter only the adapter's."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}
