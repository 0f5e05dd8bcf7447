"""Row-wise RMS updates for large embedding tables, of which a step uses few rows.

An update of a row is the learning rate times its negative gradient, divided by the running root
mean square of the row's gradients. Adam's bias correction uses the row's own count of updates. This
is row-wise Adagrad (Naumov et al. 2019) with Adam's decaying mean. The cost grows with the number
of rows used, not with the size of the table.

With `beta` 1 a sum replaces the mean, so the steps of a row shrink with every update, as in Adagrad
(Duchi et al. 2011). Word vectors need this: vectors of frequent words converge while those of rare
words still take large steps.
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
        """Set the learning rate and the decay `beta` of the mean square; 1 means a sum."""
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
