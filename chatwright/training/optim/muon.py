"""Muon: momentum, then the nearest orthogonal matrix, for matrices inside the blocks.

Jordan et al. 2024. torch.optim.Muon updates one matrix at a time and always in bfloat16, which
processors without bfloat16 units emulate slowly. Here, matrices of one shape are orthogonalized
together, in a number format that is fast on the device. A test compares both.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


def orthogonalize(
    matrices: Tensor, dtype: torch.dtype, steps: int = 5, eps: float = 1e-7
) -> Tensor:
    """Bring all singular values close to 1 by a quintic Newton-Schulz iteration.

    (N, R, C) -> (N, R, C), computed in `dtype`.
    """
    a = 3.4445
    b = -4.7750
    c = 2.0315
    x = matrices.to(dtype)
    is_tall = x.shape[-2] > x.shape[-1]
    if is_tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + eps)
    for _ in range(steps):
        gram = x @ x.mT  # (N, R, R)
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)  # b gram + c gram^2
        x = torch.baddbmm(x, polynomial, x, beta=a)  # a x + polynomial x
    return (x.mT if is_tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Muon for parameters that are matrices."""

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        momentum: float,
        weight_decay: float,
        dtype: torch.dtype,
    ) -> None:
        """Set the learning rate and decays; `dtype` is the number format to orthogonalize in."""
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update all parameters that have a gradient."""
        assert closure is None, "the training loop computes the loss itself"
        for group in self.param_groups:
            same_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    same_shape[p.shape].append(p)
            for params in same_shape.values():
                self._update(params, group)

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        """Update matrices of one shape."""
        n_row, n_column = params[0].shape
        # The factor makes an update change the outputs of tall and square matrices equally.
        scale = max(1.0, n_row / n_column) ** 0.5
        momentum = torch.stack([self._momentum(p, group["momentum"]) for p in params])
        updates = orthogonalize(momentum, self.dtype)
        for p, update in zip(params, updates.unbind(0), strict=True):
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.add_(update, alpha=-group["lr"] * scale)

    def _momentum(self, p: Tensor, momentum: float) -> Tensor:
        """Return the Nesterov momentum: the gradient, moved towards its updated average."""
        assert p.grad is not None
        buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
        buffer.lerp_(p.grad, 1 - momentum)
        return p.grad.lerp(buffer, momentum)
