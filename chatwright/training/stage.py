"""The interface between the training loop and one kind of training.

A stage supplies batches and a loss. The loop does everything else: gradient accumulation, clipping,
the learning-rate schedule, evaluation, checkpoints and exact resume. Stages are generic in the
model they train (`M`) and in the micro-batch that goes through it (`Micro`), so the loop needs to
know neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from torch import Tensor, nn

from chatwright.errors import InputError
from chatwright.model.model import Model

M = TypeVar("M", bound=Model, contravariant=True)
Micro = TypeVar("Micro")


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """The shape of one optimizer step: `rows` x `context_length` tokens."""

    rows: int = 16
    """Rows of tokens in one step."""
    context_length: int = 0
    """Tokens in a row; 0 takes the model's context length."""
    accumulate: int = 1
    """Micro-batches in one step. More of them need less memory and give the same gradient."""
    short_rows: int = 0
    """Length in tokens of extra, shorter rows for short documents: less attention; 0: none."""

    def __post_init__(self) -> None:
        if self.short_rows < 0:
            raise InputError(
                f"batches.short_rows is {self.short_rows}, but a length cannot be negative.",
                remedy="Give a number of tokens, or 0 for rows of one length.",
                field="batches.short_rows",
                value=self.short_rows,
            )
        if self.rows < 1 or self.accumulate < 1 or self.rows % self.accumulate:
            raise InputError(
                f"batches.rows ({self.rows}) must be a positive multiple of batches.accumulate "
                f"({self.accumulate}).",
                remedy="Change one of them.",
                field="batches.rows",
                value=self.rows,
            )


@dataclass(frozen=True)
class MicroBatch:
    """Token rows that go through the model in one forward pass.

    token_ids, targets (B, T); targets are -100 where a token carries no loss. document_ids (B, T)
    separate the documents packed into a row (None: one document per row). positions (B, T) count
    from the start of each document (None: from the start of the row).
    """

    token_ids: Tensor
    targets: Tensor
    document_ids: Tensor | None = None
    positions: Tensor | None = None


@dataclass(frozen=True)
class Batch(Generic[Micro]):
    """The work of one optimizer step.

    `count` is the number of supervised tokens (or texts, pairs). It is known before the backward
    pass and divides the summed loss once, so the number of micro-batches does not change the
    gradient.
    """

    micro_batches: Sequence[Micro]
    count: int


class Batches(Protocol[Micro]):
    """A resumable source of batches."""

    @property
    def config(self) -> Any:
        """The dataclass of settings, for the report."""
        ...

    def next_batch(self) -> Batch[Micro]:
        """Return the next batch and advance."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return counts and a hash of the data, for the report and the run's identity."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the data as JSON values."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a position that `state_dict` returned."""
        ...


@dataclass(frozen=True)
class Loss:
    """A summed loss and the number of items in the sum.

    `metrics` are means over those items. The loop averages them over the step, weighted by `count`,
    and logs them beside the loss.
    """

    sum: Tensor
    count: int
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class StageState:
    """Everything a stage needs to resume exactly: JSON numbers and named tensors."""

    numbers: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)


class Stage(Protocol[M, Micro]):
    """One kind of training, such as pretraining or supervised fine-tuning."""

    name: str

    def next_batch(self, model: M) -> Batch[Micro]:
        """Return the batch of the next step.

        Stages that learn from the model's own output sample it from `model`; the others ignore it.
        """
        ...

    def loss(self, model: M, micro_batch: Micro) -> Loss:
        """Return the summed loss of one micro-batch."""
        ...

    def check_start(self, model: M, batch: Batch[Micro], parent: Path | None) -> float:
        """Check the loss before the first update and return it.

        Args:
            model: The model to be trained.
            batch: The first batch.
            parent: The model directory that the weights were loaded from, or None for fresh ones.

        Raises:
            RunFailed: The loss is not what an untrained or a continued model has.
        """
        ...

    def own_weights(self) -> dict[str, nn.Parameter]:
        """Return weights that train with the model but are not part of the result."""
        return {}

    def evaluate(self, model: M) -> dict[str, float]:
        """Return named figures measured on validation data."""
        ...

    def samples(self, model: M) -> list[tuple[str, str]]:
        """Return (input, output) pairs that show what the model has learned so far."""
        return []

    def describe(self) -> dict[str, Any]:
        """Return counts and hashes of the data, for the report and the run's identity."""
        ...

    def state(self) -> StageState:
        """Return what must survive a kill besides the model: data position, rollouts, counters."""
        ...

    def load_state(self, state: StageState) -> None:
        """Continue from a state that `state` returned."""
        ...
