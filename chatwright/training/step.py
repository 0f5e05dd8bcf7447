"""One optimizer step: accumulate gradients over the micro-batches, clip, update."""

import math
from dataclasses import dataclass, field
from typing import Any

import torch

from chatwright.model.model import Model
from chatwright.training.optim.optimizer import Optimizer
from chatwright.training.stage import Batch, Stage


@dataclass(frozen=True)
class StepResult:
    """Loss, gradient norm and metrics of one step, before its update.

    `loss` is the mean per supervised token. `gradient_norm` is the norm before clipping. `metrics`
    are those of the stage, averaged over the step.
    """

    loss: float
    gradient_norm: float
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def is_finite(self) -> bool:
        """Whether loss and gradient are finite, so that the weights were updated."""
        return math.isfinite(self.loss) and math.isfinite(self.gradient_norm)


def train_step(
    model: Model, stage: Stage[Any, Any], batch: Batch[Any], optimizer: Optimizer, clip: float
) -> StepResult:
    """Update the weights once. Nothing is updated if the loss or the gradient is not finite.

    The summed loss is divided by the count of the whole batch, not of each micro-batch. A mean of
    means would weight short rows more, and the result would depend on the number of micro-batches.

    Args:
        model: The model, on its device and in training mode.
        stage: Computes the loss.
        batch: The micro-batches of this step and their count.
        optimizer: The optimizer, with its learning rates set.
        clip: The largest gradient norm; 0 leaves gradients as they are.
    """
    total = torch.zeros((), device=model.device)
    metrics: dict[str, float] = {}
    for micro_batch in batch.micro_batches:
        loss = stage.loss(model, micro_batch)
        (loss.sum / batch.count).backward()
        total += loss.sum.detach()
        for name, value in loss.metrics.items():
            metrics[name] = metrics.get(name, 0.0) + value * loss.count / batch.count
    # Sparse gradients (n-gram tables) are not clipped: RowRMS divides them by their own size.
    parameters = [
        p for p in optimizer.named.values() if p.grad is not None and not p.grad.is_sparse
    ]
    limit = clip if clip > 0 else float("inf")
    norm = float(torch.nn.utils.clip_grad_norm_(parameters, limit, foreach=True))
    result = StepResult(float(total) / batch.count, norm, metrics)
    if result.is_finite:
        optimizer.step()
    optimizer.zero_grad()
    return result
