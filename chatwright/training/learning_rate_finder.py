"""Find a learning rate by a short run, a sweep, in which the rate grows at every step.

The loss falls while the rate is useful and rises once it is too high (Smith 2017, section 3.3). One
factor, which grows at every step, multiplies all learning rates of the settings. The weights are
useless afterwards, and only the curve of the losses is kept. It costs at most `STEPS` steps.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from chatwright.devices import generator, resolve_device, resolve_precision
from chatwright.model.dropout import set_dropout_generator
from chatwright.model.model import Model
from chatwright.training import checks
from chatwright.training.html_page import label_log_axis, new_figure, page, to_svg
from chatwright.training.loop_config import LoopConfig
from chatwright.training.optim.optimizer import Optimizer
from chatwright.training.stage import Stage
from chatwright.training.step import train_step

STEPS = 120
"""Largest number of steps."""
LOWEST = 1e-3
HIGHEST = 30.0
"""The factors of the first and the last step."""
SMOOTHING = 0.9
"""Decay of the moving average of the losses."""
DIVERGED = 1.5
"""The sweep ends when the smoothed loss is this many times the lowest one."""


@dataclass
class Sweep:
    """The losses of a sweep and the suggested learning rates."""

    factors: list[float] = field(default_factory=list)
    """Factor of the learning rates at each step."""
    losses: list[float] = field(default_factory=list)
    smoothed: list[float] = field(default_factory=list)
    """Moving average of the losses; its minimum decides the suggestion."""
    suggested: float = 0.0
    """Suggested factor for the learning rates of the settings."""
    rates: dict[str, float] = field(default_factory=dict)
    """Suggested learning rates by the name of their optimizer setting."""

    def overrides(self) -> str:
        """Return the suggested rates as key=value settings for the command line."""
        return " ".join(f"loop.optimizer.{name}={value:.2g}" for name, value in self.rates.items())


def sweep(model: Model, stage: Stage[Any, Any], config: LoopConfig, steps: int = STEPS) -> Sweep:
    """Train `model` with growing rates until the loss diverges, for at most `steps` steps.

    The model is moved to the device and is useless afterwards.

    Raises:
        RunFailed: No rate lowered the loss, or a batch has no token with loss.
    """
    device = resolve_device(config.device)
    model.to(device).train()
    set_dropout_generator(model, generator(config.seed, "dropout", device))
    optimizer = Optimizer(
        model, config.optimizer, resolve_precision(config.precision, device), stage.own_weights()
    )
    result = Sweep()
    for step in range(steps):
        factor = LOWEST * (HIGHEST / LOWEST) ** (step / (steps - 1))
        batch = stage.next_batch(model)
        checks.check_supervised(batch.count, step)
        optimizer.set_factor(factor)
        measured = train_step(model, stage, batch, optimizer, config.clip)
        if not measured.is_finite:
            break
        result.factors.append(factor)
        result.losses.append(measured.loss)
        result.smoothed.append(_smoothed(result.losses))
        if result.smoothed[-1] > DIVERGED * min(result.smoothed):
            break
    result.suggested = suggest(result.factors, result.smoothed)
    result.rates = {
        name: float(f"{rate * result.suggested:.2g}") for name, rate in optimizer.rates.items()
    }
    return result


def _smoothed(losses: list[float]) -> float:
    """Return the exponential moving average of the losses, with Adam's correction of its start."""
    weights = [SMOOTHING ** (len(losses) - 1 - i) for i in range(len(losses))]
    return sum(w * loss for w, loss in zip(weights, losses, strict=True)) / sum(weights)


def suggest(factors: list[float], smoothed: list[float]) -> float:
    """Return a third of the factor with the lowest loss.

    With a factor just above the lowest loss, training would diverge.

    Raises:
        RunFailed: No factor lowered the loss.
    """
    if len(smoothed) < 2 or min(smoothed) >= smoothed[0]:
        raise checks.RunFailed(
            "No learning rate of the sweep lowered the loss. Divide loop.optimizer.learning_rate "
            "and matrix_learning_rate by ten, or check the data: "
            "chatwright data show --mask DATA --tokenizer DIR",
            check="learning_rate",
        )
    return factors[smoothed.index(min(smoothed))] / 3


def write(result: Sweep, out: Path) -> Path:
    """Write out/learning-rate.html and out/learning-rate.json; return the page."""
    out.mkdir(parents=True, exist_ok=True)
    curve = json.dumps(asdict(result), indent=1)
    (out / "learning-rate.json").write_text(curve, encoding="utf-8")
    explanation = (
        "<p>The learning rate grew at every step. The loss falls while the rate is useful and "
        "rises once it is too high. The suggestion is a third of the rate with the lowest loss: "
        f"<b>{result.suggested:.2g}</b> times the settings.</p>"
    )
    parts = [explanation, f"<pre>{result.overrides()}</pre>", _curve(result)]
    path = out / "learning-rate.html"
    path.write_text(page(f"Learning rate: {out.name}", parts), encoding="utf-8")
    return path


def _curve(result: Sweep) -> str:
    """Return the loss over the factor as SVG."""
    figure = new_figure(7, 3.6)
    axes = figure.subplots()
    axes.plot(result.factors, result.losses, linewidth=0.6, alpha=0.5, label="measured")
    axes.plot(result.factors, result.smoothed, linewidth=1.5, label="smoothed")
    axes.axvline(result.suggested, color="black", linewidth=0.8, linestyle="--", label="suggested")
    highest = max(result.smoothed)
    axes.set(
        xscale="log",
        xlabel="factor of the settings' learning rates",
        ylabel="nats per token",
        ylim=(min(result.losses) * 0.95, highest * 1.05),
    )
    label_log_axis(axes.xaxis)
    axes.legend(frameon=False)
    return to_svg(figure)
