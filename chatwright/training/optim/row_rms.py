"""Row-wise RMS updates for large embedding tables, of which a step uses few rows.

A row moves by the learning rate along its gradient, divided by a running root mean square of the
row's gradients. The mean is corrected by the row's own count of updates (row-wise Adagrad of Naumov
et al. 2019, with Adam's decaying mean). The cost grows with the rows used, not with the table.

With `beta` 1 a sum replaces the mean, so the steps of a row shrink with every update. This is
Adagrad (Duchi et al. 2011). Word vectors need it: a frequent word must settle while a rare one
still moves.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class RowRMS(torch.optim.Optimizer):
    """Row-wise RMS for sparse gradients, which `F.embedding(..., sparse=True)` produces."""

    def __init__(
        self, params: Iterable[Tensor], lr: float, beta: float, eps: float = 1e-12
    ) -> None:
        """Store the parameters; `beta` is the decay of the mean square, 1 for a sum."""
        super().__init__(params, {"lr": lr, "beta": beta, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update the rows that have a gradient."""
        assert closure is None, "the training loop computes the loss itself"
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._update(p, group["lr"], group["beta"], group["eps"])

    def _update(self, p: Tensor, lr: float, beta: float, eps: float) -> None:
        """Update the rows of one table (rows, D)."""
        state = self.state[p]
        if not state:
            state["mean_square"] = torch.zeros(len(p), device=p.device)
            state["count"] = torch.zeros(len(p), device=p.device)
        rows, gradient = _rows_with_gradient(p)
        count = state["count"][rows] + 1
        square = gradient.square().mean(1)
        previous = state["mean_square"][rows]
        is_sum = beta == 1.0
        mean_square = previous + square if is_sum else torch.lerp(square, previous, beta)
        state["count"][rows] = count
        state["mean_square"][rows] = mean_square
        size = (mean_square if is_sum else mean_square / (1 - beta**count)).sqrt() + eps
        p.index_add_(0, rows, gradient.mul_(-lr / size[:, None]))


def _rows_with_gradient(p: Tensor) -> tuple[Tensor, Tensor]:
    """Return indices (n,) and gradients (n, D) of the rows whose gradient is not zero.

    Padding is looked up but has no gradient; its row must not be counted as updated.
    """
    assert p.grad is not None
    rows, index = p.grad._indices()[0].unique(return_inverse=True)
    gradient = torch.zeros(len(rows), p.shape[1], device=p.device)
    gradient.index_add_(0, index, p.grad._values())
    has_gradient = gradient.any(dim=1)
    return rows[has_gradient], gradient[has_gradient]
