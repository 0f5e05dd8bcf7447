"""Row-wise RMS steps for big embedding tables of which a step touches few rows.

Each touched row moves by the learning rate along its gradient over a running root mean square of that row's gradients, corrected by the
row's own count (row-wise Adagrad of Naumov et al. 2019, with Adam's decaying mean). Cost grows with the rows touched, not with the table.

With `beta` 1 nothing decays: the sum stands in the place of the mean, and a row's steps shrink as it is touched again and again. That is Adagrad
itself (Duchi et al. 2011), and what word vectors need: a word that is everywhere must come to rest while a rare one still moves.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class RowRMS(torch.optim.Optimizer):
    """For parameters with sparse gradients, as torch.nn.functional.embedding(sparse=True) makes them."""

    def __init__(
        self, params: Iterable[Tensor], lr: float, beta: float, eps: float = 1e-12
    ) -> None:
        super().__init__(params, {"lr": lr, "beta": beta, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        assert closure is None, "the training loop computes the loss itself"
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._step(p, group["lr"], group["beta"], group["eps"])

    def _step(self, p: Tensor, lr: float, beta: float, eps: float) -> None:
        state = self.state[p]
        if not state:
            state["mean_square"], state["count"] = (
                torch.zeros(len(p), device=p.device),
                torch.zeros(len(p), device=p.device),
            )
        assert p.grad is not None
        rows, place = p.grad._indices()[0].unique(return_inverse=True)
        gradient = torch.zeros(len(rows), p.shape[1], device=p.device).index_add_(
            0, place, p.grad._values()
        )  # (rows, D)
        touched = gradient.any(dim=1)  # padding is looked up but teaches nothing: it must not count
        rows, gradient = rows[touched], gradient[touched]
        count, square, before = (
            state["count"][rows] + 1,
            gradient.square().mean(1),
            state["mean_square"][rows],
        )
        mean_square = before + square if beta == 1.0 else torch.lerp(square, before, beta)
        state["count"][rows], state["mean_square"][rows] = count, mean_square
        size = (mean_square if beta == 1.0 else mean_square / (1 - beta**count)).sqrt() + eps
        p.index_add_(0, rows, gradient.mul_(-lr / size[:, None]))
