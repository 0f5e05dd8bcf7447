"""The best evaluation of a run and the weights it was made with: what a run with `loop.patience` ends with, early or not."""

import math
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from chatwright.model.model import trained_parameters
from chatwright.training.loop_config import LoopConfig


@dataclass
class Best:
    """Survives a kill with the rest of the run's state. `worse` counts the evaluations since that were no better."""

    step: int = 0
    worse: int = 0
    seen: int = (
        -1
    )  # the last step that was evaluated: a run killed after its last checkpoint evaluates it again
    figures: dict[str, float] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)

    def see(
        self, step: int, figures: dict[str, float], model: nn.Module, config: LoopConfig
    ) -> None:
        """Take note of an evaluation; `model` holds the weights that were evaluated."""
        if config.monitor not in figures:
            raise ValueError(
                f"loop.monitor = {config.monitor!r} is no figure of this stage's evaluation. Choose one of {', '.join(figures)}."
            )
        if step <= self.seen:
            return
        self.seen = step
        if self.figures and not self._is_better(figures[config.monitor], config):
            self.worse += 1
            return
        self.step, self.worse, self.figures = step, 0, figures
        self.weights = {name: p.detach().clone() for name, p in trained_parameters(model).items()}

    def _is_better(self, figure: float, config: LoopConfig) -> bool:
        """A figure that is not a number is better than nothing and worse than all."""
        known = self.figures[config.monitor]
        if math.isnan(figure) or math.isnan(known):
            return math.isnan(known) and not math.isnan(figure)
        return figure > known if config.higher_is_better else figure < known

    def has_given_up(self, config: LoopConfig) -> bool:
        return 0 < config.patience <= self.worse

    def numbers(self) -> dict[str, Any]:
        return {"step": self.step, "worse": self.worse, "seen": self.seen, "figures": self.figures}

    def sentence(self, step: int, config: LoopConfig) -> str:
        kept = f"the weights of step {self.step} are kept: {config.monitor} {self.figures[config.monitor]:.4f}"
        if step == config.steps:
            return kept
        return f"{kept}. Stopped at step {step} of {config.steps}, after {self.worse} evaluations that were no better"
