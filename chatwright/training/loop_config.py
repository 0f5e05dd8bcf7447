"""Settings of the one training loop, shared by every stage."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chatwright.devices import Precision
from chatwright.training.optim.optimizer import OptimizerConfig
from chatwright.training.optim.schedule import ScheduleKind

# What only says when something is written down or saved. It decides no bit of a run, so it may be changed in the middle of one.
BOOKKEEPING = ("log_every", "save_every", "save_seconds", "keep")


def deciding(loop: Mapping[str, Any]) -> dict[str, Any]:
    """A table of loop settings without the bookkeeping."""
    return {name: value for name, value in loop.items() if name not in BOOKKEEPING}


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    steps: int = 1000
    seed: int = 1
    device: str = "auto"
    precision: Precision = (
        "auto"  # auto: bfloat16 where the device is faster in it, float32 elsewhere
    )
    schedule: ScheduleKind = "wsd"
    warmup: int = 20  # steps until the learning rate is at its peak
    final_factor: float = 0.0  # the learning rate at the end, as a share of its peak
    decay_share: float = 0.5  # share of a wsd run that decays
    clip: float = 1.0  # largest norm of the whole gradient; 0 switches clipping off
    average_decay: float = (
        0.0  # moving average of the weights; 0 is none. The averaged weights are the result
    )
    patience: int = 0  # end after so many evaluations without a better one, and keep the best weights; 0: go on to the end
    monitor: str = "validation_loss"  # the figure of an evaluation that patience looks at
    higher_is_better: bool = False  # for figures such as an accuracy
    log_every: int = 10
    evaluate_every: int = 200
    save_every: int = 500  # steps between checkpoints ...
    save_seconds: float = 600.0  # ... and the most seconds of training, so that a slow machine does not lose more; 0 is no such limit
    keep: int = 2  # checkpoints kept
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    def __post_init__(self) -> None:
        for name in ("steps", "log_every", "evaluate_every", "save_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least 1")
        if self.keep < 2:
            raise ValueError(
                f"keep ({self.keep}) must be at least 2: with one, a damaged checkpoint would lose the run"
            )
        if self.save_seconds < 0:
            raise ValueError(
                f"save_seconds ({self.save_seconds}) must be at least 0; 0 leaves it to save_every"
            )
        if self.patience < 0:
            raise ValueError(
                f"patience ({self.patience}) must be at least 0; 0 switches early stopping off"
            )
        if not 0.0 <= self.average_decay < 1.0:
            raise ValueError(f"average_decay ({self.average_decay}) must be at least 0 and below 1")
