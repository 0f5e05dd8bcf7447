"""Dropout that draws from a generator you pass in, so that a resumed run can restore the noise."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """In training, zero each number with probability p and scale the rest by 1 / (1 - p).

    p is rounded to a multiple of 1/256 from 1/256 to 255/256, because the noise is one random byte
    per number. That takes a quarter of the memory of float32 noise.
    """

    def __init__(self, p: float) -> None:
        """Set the rate. Call `set_dropout_generator` before training."""
        super().__init__()
        self.p = p
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Drop single numbers. The shape does not change."""
        return x if self.p == 0.0 or not self.training else x * self._factors(x.shape, x)

    def drop_vectors(self, x: Tensor) -> Tensor:
        """Drop whole vectors: all numbers of a token together. (..., D) -> (..., D)."""
        return x if self.p == 0.0 or not self.training else x * self._factors((*x.shape[:-1], 1), x)

    def _factors(self, shape: Sequence[int], like: Tensor) -> Tensor:
        assert self.generator is not None, (
            "dropout needs a generator: call set_dropout_generator before training"
        )
        noise = torch.empty(shape, dtype=torch.uint8, device=like.device)
        noise = noise.random_(generator=self.generator)
        n_dropped = min(max(1, round(self.p * 256)), 255)  # of the 256 values of a byte
        return (noise >= n_dropped).to(like.dtype) * (256 / (256 - n_dropped))


def set_dropout_generator(model: nn.Module, generator: torch.Generator) -> None:
    """Let every Dropout of the model draw its noise from `generator`."""
    for module in model.modules():
        if isinstance(module, Dropout):
            module.generator = generator
