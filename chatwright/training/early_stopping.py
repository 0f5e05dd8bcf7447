"""Early stopping: the best evaluation of a run and the weights that reached it.

A run with `loop.patience` ends with these weights, whether it stops early or not.
"""

import math
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from chatwright.errors import InputError
from chatwright.model.model import trained_parameters
from chatwright.training.loop_config import LoopConfig


@dataclass
class BestEvaluation:
    """The best evaluation so far. It is saved in every checkpoint."""

    step: int = 0
    """Step of the best evaluation."""
    worse: int = 0
    """Number of evaluations after the best one; none of them was better."""
    last_step: int = -1
    """Step of the last evaluation. A resumed run may repeat it; `add` ignores the repetition."""
    figures: dict[str, float] = field(default_factory=dict)
    """Figures of the best evaluation."""
    weights: dict[str, Tensor] = field(default_factory=dict)
    """Weights of the best evaluation."""

    def add(
        self, step: int, figures: dict[str, float], model: nn.Module, config: LoopConfig
    ) -> None:
        """Compare one more evaluation with the best; `model` holds the evaluated weights.

        Raises:
            InputError: The stage has no figure of the name `loop.monitor`.
        """
        if config.monitor not in figures:
            raise InputError(
                f"loop.monitor is {config.monitor!r}, but this stage does not measure it.",
                remedy=f"Choose one of {', '.join(figures)}.",
                field="loop.monitor",
                value=config.monitor,
            )
        if step <= self.last_step:
            return
        self.last_step = step
        if self.figures and not self._is_better(figures[config.monitor], config):
            self.worse += 1
            return
        self.step = step
        self.worse = 0
        self.figures = figures
        self.weights = {name: p.detach().clone() for name, p in trained_parameters(model).items()}

    def _is_better(self, figure: float, config: LoopConfig) -> bool:
        """Whether a figure beats the best; any number beats NaN."""
        best = self.figures[config.monitor]
        if math.isnan(figure) or math.isnan(best):
            return math.isnan(best) and not math.isnan(figure)
        return figure > best if config.higher_is_better else figure < best

    def should_stop(self, config: LoopConfig) -> bool:
        """Whether `loop.patience` evaluations in a row were no better than the best one."""
        return 0 < config.patience <= self.worse

    def numbers(self) -> dict[str, Any]:
        """Return everything but the weights, as JSON values."""
        return {
            "step": self.step,
            "worse": self.worse,
            "last_step": self.last_step,
            "figures": self.figures,
        }

    def message(self, step: int, config: LoopConfig) -> str:
        """Return a message: which weights are kept, and why the run ended at `step`."""
        figure = self.figures[config.monitor]
        kept = f"keeping the weights of step {self.step}: {config.monitor} {figure:.4f}"
        if step == config.steps:
            return kept
        return (
            f"{kept}. Stopped at step {step} of {config.steps}, "
            f"after {self.worse} evaluations without improvement"
        )
