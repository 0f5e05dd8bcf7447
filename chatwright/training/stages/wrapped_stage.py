"""Base class of stages that wrap another stage and override some of its methods.

`distillation.py` adds a teacher to a stage in this way, and `forgetting.py` a forgetting check.
"""

from pathlib import Path
from typing import Any

from torch import nn

from chatwright.training.stage import Batch, Loss, M, Micro, Stage, StageState


class WrappedStage(Stage[M, Micro]):
    """Forward every method of a stage to the inner one."""

    def __init__(self, inner: Stage[M, Micro]) -> None:
        self.inner = inner
        self.name = inner.name

    def next_batch(self, model: M) -> Batch[Micro]:
        """Return the inner stage's next batch."""
        return self.inner.next_batch(model)

    def loss(self, model: M, micro_batch: Micro) -> Loss:
        """Return the inner stage's loss."""
        return self.inner.loss(model, micro_batch)

    def check_start(self, model: M, batch: Batch[Micro], parent: Path | None) -> float:
        """Run the inner stage's check of the first loss."""
        return self.inner.check_start(model, batch, parent)

    def own_weights(self) -> dict[str, nn.Parameter]:
        """Return the inner stage's own weights."""
        return self.inner.own_weights()

    def evaluate(self, model: M) -> dict[str, float]:
        """Return the inner stage's figures."""
        return self.inner.evaluate(model)

    def samples(self, model: M) -> list[tuple[str, str]]:
        """Return the inner stage's samples."""
        return self.inner.samples(model)

    def describe(self) -> dict[str, Any]:
        """Return the inner stage's description of its data."""
        return self.inner.describe()

    def state(self) -> StageState:
        """Return the inner stage's state."""
        return self.inner.state()

    def load_state(self, state: StageState) -> None:
        """Let the inner stage continue from `state`."""
        self.inner.load_state(state)
