"""Compare the result of a run with the model before training and with the best evaluation.

The comparison uses the figure that `loop.monitor` names, usually the validation loss. It is written
into training.json, and shown as the last message of a run, in report.html and on the page.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chatwright.training.loop_config import LoopConfig

NOTICEABLE_RISE = 0.02
"""A result may be worse than the best evaluation by this share without a warning."""
NOTICEABLE_FORGETTING = 0.03
"""Bits per byte on the old texts may rise by this share without a warning."""
NOTICEABLE_DISPLACEMENT = 0.2
"""`chosen_reward` of preference optimization may fall to minus this without a warning."""


@dataclass(frozen=True)
class Outcome:
    """The monitored figure before training, at its best and in the result."""

    figure: str
    before: float
    after: float
    best: float
    best_step: int
    exact_match: float | None = None
    """Share of training answers that the result gives word for word; None: not measured."""
    warning: str = ""
    """Why the result may not be what the user wants; "" if nothing is wrong."""

    @property
    def summary(self) -> str:
        """The figure before and after training, in words."""
        return f"{_words(self.figure)} {self.before:.4f} before training, {self.after:.4f} after it"

    @property
    def note(self) -> str:
        """What else the user should know; "" for nothing."""
        if self.exact_match is None:
            return ""
        return f"{self.exact_match:.0%} of the training answers are given word for word."


def judge(
    records: Sequence[Mapping[str, Any]], figures: Mapping[str, float], config: LoopConfig
) -> Outcome | None:
    """Return the outcome of a run, or None if the monitored figure was not measured.

    Args:
        records: The log of the run.
        figures: The figures of the result.
        config: Names the monitored figure.
    """
    name = config.monitor
    evaluations = [
        (record["step"], float(record[name]))
        for record in records
        if "samples" in record and name in record
    ]
    if not evaluations or name not in figures:
        return None
    sign = -1.0 if config.higher_is_better else 1.0
    measured = [entry for entry in evaluations if not math.isnan(entry[1])] or evaluations
    best_step, best = min(measured, key=lambda entry: sign * entry[1])
    outcome = Outcome(name, evaluations[0][1], float(figures[name]), best, best_step)
    warnings = [
        _loss_warning(outcome, sign, config),
        _forgetting_warning(figures),
        _displacement_warning(figures),
    ]
    return replace(
        outcome, exact_match=figures.get("exact_match"), warning=" ".join(filter(None, warnings))
    )


def _loss_warning(outcome: Outcome, sign: float, config: LoopConfig) -> str:
    words = _words(outcome.figure)
    change = sign * (outcome.after - outcome.before)  # above 0: worse than before training
    if math.isnan(change) or change > 0:
        return (
            f"The result is worse than the start: {outcome.summary}. "
            f"Lower the learning rate or the number of steps{_keep_best(config)}."
        )
    if config.patience and outcome.best_step == 0:
        return (
            f"No evaluation was better than the start ({words} {outcome.before:.4f}), so the "
            "result is the model as it was before training. Lower the learning rate, or add data."
        )
    rise = sign * (outcome.after - outcome.best)
    if rise > NOTICEABLE_RISE * max(abs(outcome.best), 1e-9):
        return (
            f"The result is worse than an earlier evaluation: {words} {outcome.best:.4f} at step "
            f"{outcome.best_step}, {outcome.after:.4f} at the end. The model begins to memorize "
            f"its training data. Take fewer steps{_keep_best(config)}."
        )
    return ""


def _keep_best(config: LoopConfig) -> str:
    return "" if config.patience else ", or keep the best weights with loop.patience=4"


def _forgetting_warning(figures: Mapping[str, float]) -> str:
    forgotten = figures.get("forgotten", 0.0)
    if not forgotten > NOTICEABLE_FORGETTING:
        return ""
    return (
        f"On the old texts the model went from {figures['old_bits_per_byte_before']:.3f} to "
        f"{figures['old_bits_per_byte']:.3f} bits per byte ({forgotten:+.1%}): it forgot some of "
        "what it knew."
    )


def _displacement_warning(figures: Mapping[str, float]) -> str:
    """Warn if chosen replies lost probability, as rejected ones should (Razin et al. 2024)."""
    reward = figures.get("chosen_reward", 0.0)
    if not reward < -NOTICEABLE_DISPLACEMENT:
        return ""
    return (
        f"The chosen replies became less probable than before training (chosen_reward "
        f"{reward:.2f}), so replies can get worse although the validation loss falls. Set "
        "sft_weight=1, raise beta, or lower the learning rate."
    )


def _words(figure: str) -> str:
    return figure.replace("_", " ")
