"""Sanity checks that fail a run that learned nothing or started wrongly."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from chatwright.checkpoint import model_directory
from chatwright.model.model import Model
from chatwright.training.stage import Batch, Stage

M = TypeVar("M", bound=Model)
Micro = TypeVar("Micro")

FRESH_BAND = 0.05
CONTINUED_BAND = 0.10
SMALLEST_SCALE = 1e-3
"""The bands are shares of the expected loss, or of SMALLEST_SCALE if that is larger.

They bound the difference of the first loss from the expected one.
"""


class RunFailed(RuntimeError):
    """A training run that must not continue. The message names cause and remedy."""

    def __init__(self, message: str, *, check: str = "") -> None:
        """Store the message and the name of the check that failed."""
        super().__init__(message)
        self.check = check


def check_finite(value: float, quantity: str, step: int) -> None:
    """Fail if a quantity of a step, such as its loss, is infinite or not a number."""
    if not math.isfinite(value):
        raise RunFailed(
            f"step {step}: {quantity} is {value}. This step updated nothing, and the last "
            "checkpoint is intact. Lower loop.optimizer.learning_rate and matrix_learning_rate, or "
            "set loop.precision=float32, and run again with another --out directory.",
            check="finite",
        )


def check_fresh_loss(loss: float, expected: float) -> None:
    """Fail if an untrained model's loss is not that of uniform predictions."""
    if not _is_near(loss, expected, FRESH_BAND):
        raise RunFailed(
            f"step 0: the loss of the untrained model is {loss:.4f}, more than {FRESH_BAND:.0%} "
            f"from the {expected:.4f} of uniform predictions. The initialization or the targets "
            "are wrong. This is a bug unless you changed the model.",
            check="fresh_loss",
        )


def check_continued_loss(loss: float, parent_loss: float) -> None:
    """Fail if the first loss differs from the parent model's loss on the same batch."""
    if not _is_near(loss, parent_loss, CONTINUED_BAND):
        raise RunFailed(
            f"step 0: the loss is {loss:.4f}, but the parent model's loss on the same batch is "
            f"{parent_loss:.4f}, more than {CONTINUED_BAND:.0%} apart. The parent's weights were "
            "not loaded completely; check --from.",
            check="continued_loss",
        )


def _is_near(loss: float, expected: float, band: float) -> bool:
    return abs(loss - expected) <= band * max(abs(expected), SMALLEST_SCALE)


@torch.no_grad()
def mean_loss(model: M, stage: Stage[M, Micro], batch: Batch[Micro]) -> float:
    """Return the loss per supervised token, computed in evaluation mode."""
    was_training = model.training
    model.eval()
    total = sum(float(stage.loss(model, micro).sum) for micro in batch.micro_batches)
    model.train(was_training)
    return total / batch.count


def parent_loss(
    model: M,
    stage: Stage[M, Micro],
    batch: Batch[Micro],
    parent: Path,
    changes: Mapping[str, Any] | None = None,
) -> float:
    """Return the loss of the model in directory `parent`, with changed settings, on a batch."""
    # Rows may be longer than the parent's context, so it gets this model's context length.
    length = {"context_length": model.config.context_length}
    parent_model: Any = model_directory.load(
        parent, model.device, changes=length | dict(changes or {}), kind=type(model)
    )[0]
    return mean_loss(parent_model, stage, batch)


def check_supervised(count: int, step: int) -> None:
    """Fail if no token of a batch carries loss."""
    if count == 0:
        raise RunFailed(
            f"step {step}: no token of the batch carries loss, so nothing would be learned. "
            "See which tokens do: chatwright data show --mask DATA --tokenizer DIR",
            check="supervised",
        )


def check_changed(before: dict[str, torch.Tensor], model: Model) -> float:
    """Return the relative change of the weights over the run; fail if it is zero."""
    parameters = dict(model.named_parameters())
    moved = sum(
        float((parameters[name].detach() - weights).square().sum())
        for name, weights in before.items()
    )
    size = sum(float(weights.square().sum()) for weights in before.values())
    if moved == 0.0:
        raise RunFailed(
            "The run ended with exactly the weights it began with, so nothing was learned. "
            "Raise the learning rate or the number of steps.",
            check="changed",
        )
    return math.sqrt(moved / max(size, 1e-30))
