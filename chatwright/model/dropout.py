"""Dropout whose noise comes from a generator of its own, so that a resumed run draws what the uninterrupted one would have."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """In training each number is zeroed with probability p and the rest scaled by 1/(1-p). Shape unchanged."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        return x if self.p == 0.0 or not self.training else x * self._factors(x.shape, x)

    def rows(self, x: Tensor) -> Tensor:
        """The same for whole rows: each token's vector stays or goes as one. (..., D) -> (..., D)."""
        return x if self.p == 0.0 or not self.training else x * self._factors((*x.shape[:-1], 1), x)

    def _factors(self, shape: Sequence[int], like: Tensor) -> Tensor:
        assert self.generator is not None, (
            "dropout needs a generator: call set_dropout_generator(model, generator) before training"
        )
        noise = torch.empty(shape, dtype=torch.uint8, device=like.device).random_(
            generator=self.generator
        )
        # 256 levels are enough for a rate, and a byte of noise costs a quarter of a float's. p is rounded to 1/256.
        dropped = max(1, round(self.p * 256))
        return (noise >= dropped).to(like.dtype) * (256 / (256 - dropped))


def set_dropout_generator(model: nn.Module, generator: torch.Generator) -> None:
    for module in model.modules():
        if isinstance(module, Dropout):
            module.generator = generator
