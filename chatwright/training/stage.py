"""What the one training loop asks of a stage: batches and a loss. Pretraining, SFT and later the RL stages are each one of these.

A stage is typed by the model it trains and by what its batches are made of, so that the loop need know neither.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from torch import Tensor, nn

from chatwright.model.gpt import GPT
from chatwright.model.model import Model

M = TypeVar("M", bound=Model, contravariant=True)
Micro = TypeVar("Micro")  # what goes through the model at once


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """Shape of a step: `rows` of `context_length` tokens, computed in `accumulate` micro-batches."""

    rows: int = 16
    context_length: int = 0  # 0: the model's
    accumulate: int = 1
    short_rows: int = 0  # whole documents that fit go into rows of this many tokens, as many as make up a step; 0: all rows are long

    def __post_init__(self) -> None:
        if self.short_rows < 0:
            raise ValueError(f"short_rows ({self.short_rows}) must be at least 0")
        if self.rows < 1 or self.accumulate < 1 or self.rows % self.accumulate:
            raise ValueError(
                f"rows ({self.rows}) must be a positive multiple of accumulate ({self.accumulate})"
            )


@dataclass(frozen=True)
class MicroBatch:
    """Rows that fit through the model at once. T tokens in, T targets out.

    targets (B, T) hold -100 where nothing is to be learned; document_ids (B, T) keep packed documents apart (None: one document a row);
    positions (B, T) count from each document's start (None: from the row's start).
    """

    token_ids: Tensor
    targets: Tensor
    document_ids: Tensor | None = None
    positions: Tensor | None = None


@dataclass(frozen=True)
class Batch(Generic[Micro]):
    """One optimizer step's work. `count` (supervised tokens) is known before the backward pass and divides the loss once."""

    micro_batches: Sequence[Micro]
    count: int


class Batches(Protocol):
    """Where a stage's batches come from, resumably."""

    config: BatchConfig

    def next_batch(self) -> Batch[MicroBatch]: ...

    def describe(self) -> dict[str, Any]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class Loss:
    """A sum, never a mean: a mean of means would weigh short rows more."""

    sum: Tensor
    count: int
    metrics: dict[str, float] = field(default_factory=dict)


Sampler = Callable[
    [GPT], list[tuple[str, str]]
]  # (prompt, continuation) pairs to show as the model learns


class Stage(Protocol[M, Micro]):
    name: str
    has_fresh_head: bool = False  # the model ends in a head its parent did not have: it starts at `fresh_loss`, not where the parent stood

    def next_batch(self) -> Batch[Micro]: ...

    def loss(self, model: M, micro_batch: Micro) -> Loss: ...

    def fresh_loss(self, model: M) -> float:
        """Per supervised token, of a model that knows nothing: every token equally likely, unless a stage says otherwise."""
        return math.log(model.config.vocab_size)

    def own_weights(self) -> dict[str, nn.Parameter]:
        """Weights that are trained along with the model's and belong to the stage: they are in its checkpoints and not in the result."""
        return {}

    def evaluate(self, model: M) -> dict[str, float]: ...

    def samples(self, model: M) -> list[tuple[str, str]]: ...

    def describe(self) -> dict[str, Any]:
        """What the report says of the data: documents, tokens, hash."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...
