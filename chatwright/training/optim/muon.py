"""Muon: momentum, then the nearest orthogonal matrix, for the weight matrices inside the blocks (Jordan et al. 2024).

torch.optim.Muon does one matrix at a time and always in bfloat16, which processors without bf16 units emulate slowly. Here matrices of
one shape are orthogonalised together, in the dtype the caller measured to be fast; a test holds both to the same update.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


def orthogonalize(
    matrices: Tensor, dtype: torch.dtype, steps: int = 5, eps: float = 1e-7
) -> Tensor:
    """Push every singular value towards 1 by a quintic Newton-Schulz iteration. (N, R, C) -> (N, R, C)"""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.to(dtype)
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + eps)
    for _ in range(steps):
        gram = x @ x.mT  # (N, R, R)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        momentum: float,
        weight_decay: float,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        assert closure is None, "the training loop computes the loss itself"
        for group in self.param_groups:
            same_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    same_shape[p.shape].append(p)
            for shape, params in same_shape.items():
                # A wide matrix's rows grow with sqrt(rows/columns), so that its outputs move as far as a square one's.
                scale = max(1.0, shape[0] / shape[1]) ** 0.5
                updates = orthogonalize(
                    torch.stack([self._momentum(p, group["momentum"]) for p in params]), self.dtype
                )
                for p, update in zip(params, updates.unbind(0), strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"]).add_(
                        update, alpha=-group["lr"] * scale
                    )

    def _momentum(self, p: Tensor, momentum: float) -> Tensor:
        """Nesterov's: the gradient seen from where the momentum is about to lead."""
        assert p.grad is not None
        buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
        buffer.lerp_(p.grad, 1 - momentum)
        return p.grad.lerp(buffer, momentum)
