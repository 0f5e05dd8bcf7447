"""Build a model without weights, and put weights into it."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from chatwright.devices import available_memory
from chatwright.errors import InputError
from chatwright.model.model import Model, count_parameters

M = TypeVar("M", bound=Model)
C = TypeVar("C")


def build(
    kind: Callable[[C], M], config: C, device: torch.device | str = "cpu", bytes_saved: int = 0
) -> M:
    """Build a model whose weights are not set.

    Args:
        kind: The model class.
        config: Its settings.
        device: Where the parameters are allocated.
        bytes_saved: Memory that float32 weights would take and quantized ones will not. (Memory is
            taken when weights are written into it.)

    Raises:
        InputError: The model does not fit in memory. Nothing was allocated.
    """
    empty = without_memory(kind, config)
    n_parameter = count_parameters(empty)
    n_element = n_parameter + sum(buffer.numel() for buffer in empty.buffers())
    # A float32 element takes 4 bytes.
    needed, free = 4 * n_element - bytes_saved, available_memory()
    if torch.device(device).type == "cpu" and needed > free:
        raise InputError(
            f"a model of {n_parameter:,} parameters needs {needed / 1e9:.1f} GB of memory, but "
            f"only {free / 1e9:.1f} GB are free.",
            remedy='Choose a smaller size (for example model.size = "small") or a machine with '
            "more memory.",
            field="model.size",
            value=n_parameter,
        )
    return kind(config).to(device)


def without_memory(kind: Callable[[C], M], config: C) -> M:
    """Build a model on torch's meta device: its parameters have shapes and no memory."""
    with torch.device("meta"):
        return kind(config)


def assign_weights(model: Model, weights: Mapping[str, Tensor]) -> None:
    """Make tensors the parameters of the same names, without a copy.

    A parameter used in several modules, such as a tied output head, stays shared.
    """
    new = {
        id(old): nn.Parameter(weights[name], old.requires_grad)
        for name, old in model.named_parameters()
    }
    for module in model.modules():
        for name, old in module.named_parameters(recurse=False, remove_duplicate=False):
            setattr(module, name, new[id(old)])
