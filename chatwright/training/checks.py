"""What must hold for a run not to end green in vain. Each failure's last line is cause, remedy, one command."""

import math
from pathlib import Path
from typing import TypeVar

import torch

from chatwright.checkpoint import model_directory
from chatwright.model.model import Model
from chatwright.training.stage import Batch, Stage

M = TypeVar("M", bound=Model)
B = TypeVar("B")

FRESH_BAND = 0.05
CONTINUED_BAND = 0.10


class RunFailed(RuntimeError):
    """A run that must not go on. The message says cause and remedy."""


def check_finite(value: float, what: str, step: int) -> None:
    if not math.isfinite(value):
        raise RunFailed(
            f"step {step}: {what} is {value}. Nothing was updated by this step and the last checkpoint is intact. "
            "Lower loop.optimizer.learning_rate and matrix_learning_rate, or set loop.precision=float32, and run again "
            "in a new --out folder."
        )


def check_fresh_loss(loss: float, expected: float) -> None:
    """A fresh model knows nothing, so its loss is that of an even guess."""
    if abs(loss - expected) > FRESH_BAND * expected:
        raise RunFailed(
            f"step 0: the loss of a fresh model is {loss:.4f}, more than {FRESH_BAND:.0%} from ln({math.exp(expected):.0f}) = "
            f"{expected:.4f}. Its initialisation or the targets are wrong; this is a bug unless you changed the model."
        )


def check_continued_loss(loss: float, parent_loss: float) -> None:
    """A continued model must start where its parent stood on the very same batch."""
    if abs(loss - parent_loss) > CONTINUED_BAND * parent_loss:
        raise RunFailed(
            f"step 0: the loss is {loss:.4f} but the parent's own loss on this batch is {parent_loss:.4f}, more than "
            f"{CONTINUED_BAND:.0%} apart. The parent's weights did not arrive whole; check --from."
        )


@torch.no_grad()
def mean_loss(model: M, stage: Stage[M, B], batch: Batch[B]) -> float:
    """Per supervised token, in evaluation mode."""
    was_training = model.training
    model.eval()
    total = sum(float(stage.loss(model, micro).sum) for micro in batch.micro_batches)
    model.train(was_training)
    return total / batch.count


def check_first_batch(model: M, stage: Stage[M, B], batch: Batch[B], parent: str | None) -> float:
    """The step-0 band. Returns the loss."""
    loss = mean_loss(model, stage, batch)
    check_finite(loss, "the loss", 0)
    if parent is None or stage.has_fresh_head:
        check_fresh_loss(loss, stage.fresh_loss(model))
    else:
        # As far as this model sees: a batch may hold longer rows than the parent was made for.
        parent_model, _ = model_directory.load(
            Path(parent),
            model.device,
            changes={"context_length": model.config.context_length},
            kind=type(model),
        )
        check_continued_loss(loss, mean_loss(parent_model, stage, batch))
    return loss


def check_tokens(count: int, step: int) -> None:
    if count == 0:
        raise RunFailed(
            f"step {step}: the batch has no supervised token, so nothing would be learned. "
            "See which tokens carry loss: chatwright data show --mask DATA --tokenizer DIR"
        )


def check_changed(before: dict[str, torch.Tensor], model: Model) -> float:
    """Relative change of the weights over the run; a run that changed nothing is an error."""
    moved = sum(
        float((p.detach() - before[name]).square().sum())
        for name, p in model.named_parameters()
        if name in before
    )
    size = sum(float(t.square().sum()) for t in before.values())
    if moved == 0.0:
        raise RunFailed(
            "the run ended with exactly the weights it began with: nothing was learned. Raise the learning rate or the steps."
        )
    return math.sqrt(moved / max(size, 1e-30))
