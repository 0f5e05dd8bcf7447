"""Settings of the training loop, shared by every stage."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from chatwright.devices import Precision
from chatwright.training.optim import schedule
from chatwright.training.optim.optimizer import OptimizerConfig
from chatwright.training.optim.schedule import ScheduleKind
from chatwright.training.setting_checks import require_setting

# These settings decide when something is logged or saved. They do not change the result of a run,
# so you may change them and resume.
BOOKKEEPING = ("log_every", "save_every", "save_seconds", "keep")


def without_bookkeeping(loop: Mapping[str, Any]) -> dict[str, Any]:
    """Return the loop settings without those of logging and saving."""
    return {name: value for name, value in loop.items() if name not in BOOKKEEPING}


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """Settings of the training loop."""

    steps: int = 1000
    """Optimizer steps in the run."""
    seed: int = 1
    """Seed of all random draws: fresh weights, data order, dropout."""
    device: str = "auto"
    """Where to train: auto, cpu, cuda or mps."""
    precision: Precision = "auto"
    """Number format of the forward pass; auto: bfloat16 if the device computes faster in it."""
    schedule: ScheduleKind = "wsd"
    """Shape of the learning rate over the run: wsd (constant, then falling), cosine or constant."""
    warmup: int = 20
    """Steps until the learning rate reaches its peak."""
    final_factor: float = 0.0
    """Learning rate at the end of the run, as a fraction of its peak."""
    decay_share: float = 0.5
    """Share of a wsd run in which the learning rate falls."""
    clip: float = 1.0
    """Largest norm of the gradient; 0 switches clipping off."""
    average_decay: float = 0.0
    """Decay of the moving average of the weights, which becomes the result; 0: no average."""
    patience: int = 0
    """Stop after this many evaluations without a better one and keep the best weights; 0: never."""
    monitor: str = "validation_loss"
    """Figure of the evaluation that patience compares."""
    higher_is_better: bool = False
    """Whether a higher monitored figure is better, as for an accuracy."""
    log_every: int = 10
    """Steps between lines of the log."""
    evaluate_every: int = 200
    """Steps between evaluations on the validation data."""
    save_every: int = 500
    """Steps between checkpoints."""
    save_seconds: float = 600.0
    """Longest training time between checkpoints, in seconds; 0: no such limit."""
    keep: int = 2
    """Number of checkpoints kept."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    def rate_factor(self, step: int, steps: int | None = None) -> float:
        """Return the learning rate of a step as a fraction of its peak, in a run of `steps`."""
        steps = self.steps if steps is None else steps
        return schedule.factor(
            self.schedule, step, steps, self.warmup, self.final_factor, self.decay_share
        )

    def __post_init__(self) -> None:
        require = partial(require_setting, self, "loop")
        for name in ("steps", "log_every", "evaluate_every", "save_every"):
            require(name, getattr(self, name) >= 1, "must be at least 1")
        require(
            "keep",
            self.keep >= 2,
            "must be at least 2, so that one damaged checkpoint does not lose the run",
        )
        require("save_seconds", self.save_seconds >= 0, "must be at least 0; 0 sets no time limit")
        require("patience", self.patience >= 0, "must be at least 0; 0 switches early stopping off")
        require("average_decay", 0.0 <= self.average_decay < 1.0, "must be at least 0 and below 1")
