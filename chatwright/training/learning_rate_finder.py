"""Find a learning rate by trying all of them: the rate grows at every step of a short run, and the loss says where it helps and where it breaks
(Smith 2017, section 3.3).

All peaks of the optimizer (AdamW's, Muon's, the tables') grow together, as one factor of what the settings say. The weights it ends with are
worth nothing; nothing is saved but the curve. It costs `STEPS` steps at most.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from chatwright.devices import generator, resolve_device, resolve_precision
from chatwright.model.dropout import set_dropout_generator
from chatwright.model.model import Model
from chatwright.training import checks
from chatwright.training.html_page import new_figure, page, to_svg
from chatwright.training.loop_config import LoopConfig
from chatwright.training.optim.optimizer import Optimizer
from chatwright.training.stage import Stage

STEPS, LOWEST, HIGHEST = 120, 1e-3, 30.0
SMOOTHING = 0.9
BROKEN = 1.5  # times the best loss so far: what follows only breaks more


@dataclass(frozen=True)
class Sweep:
    """`losses` as they were, `smoothed` as they are judged; `suggested` is a factor of the settings' own rates."""

    factors: list[float]
    losses: list[float]
    smoothed: list[float]
    suggested: float
    rates: dict[str, float]  # the suggestion as settings

    def overrides(self) -> str:
        return " ".join(f"loop.optimizer.{name}={value:.2g}" for name, value in self.rates.items())


def sweep(model: Model, stage: Stage[Any, Any], config: LoopConfig, steps: int = 0) -> Sweep:
    """Train `model` (moved to the device, spoilt) with ever higher rates until the loss breaks; `steps` at most, or STEPS."""
    steps = steps or STEPS
    device = resolve_device(config.device)
    model.to(device).train()
    set_dropout_generator(model, generator(config.seed, "dropout", device))
    optimizer = Optimizer(
        model, config.optimizer, resolve_precision(config.precision, device), stage.own_weights()
    )
    factors, losses, smoothed = [], [], []
    for step in range(steps):
        factor = LOWEST * (HIGHEST / LOWEST) ** (step / (steps - 1))
        loss = _step(model, stage, optimizer, factor, config.clip)
        if not math.isfinite(loss):
            break
        factors.append(factor)
        losses.append(loss)
        smoothed.append(_smoothed(losses))
        if smoothed[-1] > BROKEN * min(smoothed):
            break
    suggested = suggest(factors, smoothed)
    return Sweep(
        factors,
        losses,
        smoothed,
        suggested,
        {name: float(f"{rate * suggested:.2g}") for name, rate in optimizer.rates.items()},
    )


def _step(
    model: Model, stage: Stage[Any, Any], optimizer: Optimizer, factor: float, clip: float
) -> float:
    batch = stage.next_batch()
    checks.check_tokens(batch.count, 0)
    total = 0.0
    for micro in batch.micro_batches:
        loss = stage.loss(model, micro)
        (loss.sum / batch.count).backward()
        total += float(loss.sum.detach())
    if clip > 0:
        torch.nn.utils.clip_grad_norm_(
            [p for p in optimizer.named.values() if p.grad is not None and not p.grad.is_sparse],
            clip,
        )
    optimizer.set_factor(factor)
    optimizer.step()
    optimizer.zero_grad()
    return total / batch.count


def _smoothed(losses: list[float]) -> float:
    """A decaying mean, corrected for its beginning as Adam's are."""
    weights = [SMOOTHING ** (len(losses) - 1 - i) for i in range(len(losses))]
    return sum(w * loss for w, loss in zip(weights, losses, strict=True)) / sum(weights)


def suggest(factors: list[float], smoothed: list[float]) -> float:
    """A third of the rate at which the loss was lowest: there it is about to break already."""
    if len(smoothed) < 2 or min(smoothed) >= smoothed[0]:
        raise checks.RunFailed(
            "no learning rate of the sweep lowered the loss. Lower loop.optimizer.learning_rate and matrix_learning_rate by "
            "ten, or look at the data: chatwright data show --mask DATA --tokenizer DIR"
        )
    return factors[smoothed.index(min(smoothed))] / 3


def write(found: Sweep, out: Path) -> Path:
    """OUT/learning-rate.html and .json."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "learning-rate.json").write_text(json.dumps(asdict(found), indent=1))
    path = out / "learning-rate.html"
    path.write_text(
        page(
            f"Learning rate: {out.name}",
            [
                "<p>Every step took a higher rate than the one before. The loss falls where a rate helps and rises where it breaks; "
                f"a third of the rate with the lowest loss is suggested: <b>{found.suggested:.2g}</b> times the settings.</p>",
                f"<pre>{found.overrides()}</pre>",
                _curve(found),
            ],
        ),
        encoding="utf-8",
    )
    return path


def _curve(found: Sweep) -> str:
    figure = new_figure(7, 3.6)
    axes = figure.subplots()
    axes.plot(found.factors, found.losses, linewidth=0.6, alpha=0.5, label="as it was")
    axes.plot(found.factors, found.smoothed, linewidth=1.5, label="smoothed")
    axes.axvline(found.suggested, color="black", linewidth=0.8, linestyle="--", label="suggested")
    highest = max(found.smoothed)
    axes.set(
        xscale="log",
        xlabel="factor of the settings' learning rates",
        ylabel="nats per token",
        ylim=(min(found.losses) * 0.95, highest * 1.05),
    )
    axes.legend(frameon=False)
    return to_svg(figure)
