"""The moving average of the weights, and evaluation with weights other than the current ones."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from chatwright.model.model import Model, trained_parameters


def update_average(average: dict[str, Tensor], model: Model, decay: float) -> dict[str, Tensor]:
    """Return the exponential moving average after one more step; {} if `decay` is 0."""
    if decay == 0.0:
        return average
    weights = {name: p.detach() for name, p in trained_parameters(model).items()}
    if not average:
        average = {name: p.clone() for name, p in weights.items()}
    torch._foreach_lerp_(list(average.values()), list(weights.values()), 1 - decay)
    return average


@contextmanager
def use_weights(model: Model, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Give the model `weights` inside the block, and restore its own weights exactly afterwards.

    Empty `weights` leave the model as it is.
    """
    if not weights:
        yield
        return
    current = {name: p.detach().clone() for name, p in trained_parameters(model).items()}
    _copy(weights, model)
    try:
        yield
    finally:
        _copy(current, model)


@torch.no_grad()
def _copy(weights: Mapping[str, Tensor], model: Model) -> None:
    for name, p in trained_parameters(model).items():
        p.copy_(weights[name])
