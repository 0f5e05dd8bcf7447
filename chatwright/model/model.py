"""The interface every model shares: settings, device, and a forward pass up to the last layer.

Checkpoints, training and inspection use this interface; they do not depend on the architecture.
"""

from typing import Any, Protocol

import torch
from torch import Tensor, nn


class ModelConfig(Protocol):
    """Settings that every model config has. Each is a frozen dataclass beside its model class."""

    @property
    def vocab_size(self) -> int:
        """Number of tokens in the vocabulary."""
        ...

    @property
    def context_length(self) -> int:
        """Longest sequence the model can read, in tokens."""
        ...


class Model(nn.Module):
    """Base class of all models.

    This is a class and not a protocol: a model is also an `nn.Module`, and Python has no type for
    "a module with these methods".
    """

    config: ModelConfig
    sparse_tables: tuple[str, ...] = ("ngrams.",)
    """Name prefixes of tables with sparse gradients: a training step reads few of their rows."""

    def hidden_states(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the normalized output of the last layer, before any head. (B, T) -> (B, T, D)."""
        raise NotImplementedError

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return next(self.parameters()).device


def count_parameters(model: nn.Module) -> int:
    """Count trainable parameters. A tied matrix counts once; fixed position tables do not count."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the trainable parameters by name; with a LoRA adapter, only those of the adapter."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}
