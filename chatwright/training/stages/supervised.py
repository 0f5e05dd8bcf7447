"""Base class of the stages that minimize a cross-entropy over fixed data."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from chatwright.training import checks
from chatwright.training.stage import Batch, Batches, M, Micro, Stage, StageState


def no_samples(_: Any) -> list[tuple[str, str]]:
    """Return no samples."""
    return []


def no_figures(_: Any) -> dict[str, float]:
    """Return no figures."""
    return {}


class SupervisedStage(Stage[M, Micro]):
    """A stage that minimizes a cross-entropy over batches of fixed data.

    Subclasses supply `loss` and `evaluate`.
    """

    def __init__(
        self,
        batches: Batches[Micro],
        validation: Any,
        dtype: torch.dtype,
        sampler: Callable[[Any], list[tuple[str, str]]] = no_samples,
        has_fresh_head: bool = False,
    ) -> None:
        """Set up the stage.

        Args:
            batches: Training data.
            validation: Validation data; its `describe` is saved with the run.
            dtype: Number format of the forward pass.
            sampler: Returns the samples of an evaluation.
            has_fresh_head: Whether the model has a head that its parent lacks. The first loss is
                then that of uniform predictions, not the parent's.
        """
        self.batches = batches
        self.validation = validation
        self.dtype = dtype
        self.sampler = sampler
        self.has_fresh_head = has_fresh_head

    def next_batch(self, model: M) -> Batch[Micro]:
        """Return the next batch of the data; the model is not used."""
        return self.batches.next_batch()

    def fresh_loss(self, model: M) -> float:
        """Return the loss of uniform predictions, ln V, at which an untrained model must start."""
        return math.log(model.config.vocab_size)

    def check_start(self, model: M, batch: Batch[Micro], parent: Path | None) -> float:
        """Check that a new model predicts uniformly, and a continued one as its parent does."""
        loss = checks.mean_loss(model, self, batch)
        checks.check_finite(loss, "the loss", 0)
        if parent is None or self.has_fresh_head:
            checks.check_fresh_loss(loss, self.fresh_loss(model))
        else:
            checks.check_continued_loss(loss, checks.parent_loss(model, self, batch, parent))
        return loss

    def samples(self, model: M) -> list[tuple[str, str]]:
        """Return (input, output) pairs from the sampler."""
        return self.sampler(model)

    def describe(self) -> dict[str, Any]:
        """Return counts and hashes of training and validation data."""
        return {
            "train": self.batches.describe(),
            "validation": self.validation.describe(),
            "batches": vars(self.batches.config),
        }

    def state(self) -> StageState:
        """Return the position in the data."""
        return StageState(self.batches.state_dict())

    def load_state(self, state: StageState) -> None:
        """Continue from a position that `state` returned."""
        self.batches.load_state_dict(state.numbers)
