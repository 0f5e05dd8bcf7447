"""The one training loop. A stage brings batches and a loss; everything else (accumulation, clipping, schedule, averaging, evaluation,
checkpoints, exact resume, guards) is here once.

A step's supervised tokens are counted before the backward pass and divide the loss once, so 1x8 and 8x1 accumulation agree.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch

from chatwright import config as config_files
from chatwright.checkpoint import directory, model_directory
from chatwright.checkpoint.lock import writer_lock
from chatwright.devices import generator, keeping_freed_memory, resolve_device, resolve_precision
from chatwright.model import lora
from chatwright.model.dropout import set_dropout_generator
from chatwright.model.model import Model, count_parameters, trained_parameters
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.training import checks, loop_config
from chatwright.training.loop_config import LoopConfig
from chatwright.training.metrics import Metrics
from chatwright.training.optim import schedule
from chatwright.training.optim.optimizer import Optimizer
from chatwright.training.stage import Batch, Stage
from chatwright.training.train_state import TrainState

M = TypeVar("M", bound=Model)
B = TypeVar("B")


@dataclass(frozen=True)
class Progress:
    """What a person watching is told, a few times a second at most."""

    stage: str
    step: int
    steps: int
    loss: float
    tokens: int
    seconds: float
    seconds_left: float
    evaluation: dict[str, float] = field(default_factory=dict)
    samples: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Watcher:
    """How the loop speaks to the outside: progress, checkpoints, sentences worth reading, and the question whether to stop."""

    progress: Callable[[Progress], None] = lambda _: None
    saved: Callable[[Path], None] = lambda _: None  # a checkpoint that can be opened as a model
    say: Callable[[str], None] = lambda _: None
    should_stop: Callable[[], bool] = lambda: False
    warn: Callable[[str], None] = lambda _: (
        None
    )  # a sentence that must not be missed among the others


class Stopped(Exception):
    """The run was asked to stop and has saved itself; the same command goes on from there."""


def train(
    run: Path,
    model: M,
    stage: Stage[M, B],
    tokenizer: Tokenizer,
    config: LoopConfig,
    watcher: Watcher = Watcher(),
    parent: Path | None = None,
    resolved: dict[str, Any] | None = None,
) -> Path:
    """Train `model` (moved to the device) and leave run/model, run/metrics.jsonl, run/run.json. Returns run/model.

    A run already under way in `run` is gone on with, bit for bit; `resolved` is saved and hashed, together with what of `config` decides
    anything, to tell one run from another.
    """
    with writer_lock(run), keeping_freed_memory():
        loop = Loop(run, model, stage, tokenizer, config, watcher, parent, resolved or {})
        try:
            return loop.run_to_end()
        finally:
            loop.metrics.close()


class Loop:
    def __init__(
        self,
        run: Path,
        model: Model,
        stage: Stage[Any, Any],
        tokenizer: Tokenizer,
        config: LoopConfig,
        watcher: Watcher,
        parent: Path | None,
        resolved: dict[str, Any],
    ) -> None:
        self.run, self.stage, self.tokenizer, self.config, self.watcher, self.parent = (
            run,
            stage,
            tokenizer,
            config,
            watcher,
            parent,
        )
        device = resolve_device(config.device)
        self.dtype = resolve_precision(config.precision, device)
        self.model = model.to(device).train()
        dropout = generator(config.seed, "dropout", device)
        set_dropout_generator(self.model, dropout)
        described = resolved | {
            "loop": config_files.to_table(config),
            "data": stage.describe(),
            "parent": _identity(parent),
        }
        deciding = described | {"loop": loop_config.deciding(described["loop"])}
        self.base = (
            model_directory.base_of(model, parent)
            if parent is not None and lora.linears(model)
            else None
        )
        self.state = TrainState(
            self.model,
            Optimizer(self.model, config.optimizer, self.dtype, stage.own_weights()),
            stage,
            {"dropout": dropout},
            hashlib.sha256(json.dumps(deciding, sort_keys=True, default=str).encode()).hexdigest(),
            self.base,
        )
        directory.recover(run)
        directory.recover(run / "checkpoints")
        self._resume_or_start(described)

    def _resume_or_start(self, described: dict[str, Any]) -> None:
        newest = directory.newest_valid(self.run / "checkpoints", "step-*", self.watcher.say)
        if (
            newest is None
            and (self.run / "metrics.jsonl").exists()
            and (self.run / "model").exists()
        ):
            raise ValueError(
                f"{self.run}: already holds a finished run. Give another --out folder, or delete this one to start over."
            )
        if newest is not None:
            self.state.load(newest, self.watcher.say)
            self.watcher.say(f"going on from step {self.state.step} of {self.config.steps}")
        self.metrics = Metrics(
            self.run / "metrics.jsonl", None if newest is None else self.state.step
        )
        (self.run / "run.json").write_text(json.dumps(described, indent=1, default=str))

    def run_to_end(self) -> Path:
        state, config = self.state, self.config
        before = {name: p.detach().clone() for name, p in trained_parameters(self.model).items()}
        self.saved_at = state.seconds
        self.steps_here = 0  # a run killed between its last save and its end has none left to do
        while state.step < config.steps and not state.best.has_given_up(config):
            batch = self.stage.next_batch()
            checks.check_tokens(batch.count, state.step)
            if state.step == 0:
                state.first_loss = checks.check_first_batch(
                    self.model, self.stage, batch, None if self.parent is None else str(self.parent)
                )
                self._evaluate(0)
            loss, norm = self._step(batch)
            state.step += 1
            self.steps_here += 1
            state.trained_tokens += batch.count
            self._log(loss, norm)
            if state.step % config.evaluate_every == 0 and state.step < config.steps:
                self._evaluate(state.step)
            stopping = self.watcher.should_stop()
            if state.best.has_given_up(config):
                break
            if stopping or (self._is_save_due() and state.step < config.steps):
                self._save()
            if stopping and state.step < config.steps:
                raise Stopped(
                    f"stopped at step {state.step} of {config.steps}; saved. The same command goes on from there."
                )
        return self._finish(before)

    def _step(self, batch: Batch[Any]) -> tuple[float, float]:
        """One optimizer step. Returns the mean loss per supervised token and the gradient's norm, as they were before the update."""
        state, config = self.state, self.config
        began = time.perf_counter()
        state.optimizer.set_factor(
            schedule.factor(
                config.schedule,
                state.step,
                config.steps,
                config.warmup,
                config.final_factor,
                config.decay_share,
            )
        )
        total = torch.zeros((), device=self.model.device)
        for micro in batch.micro_batches:
            loss = self.stage.loss(self.model, micro)
            (loss.sum / batch.count).backward()
            total += loss.sum.detach()
        # Sparse gradients (n-gram tables) take steps of a size of their own, which no clipping changes.
        parameters = [
            p for p in state.optimizer.named.values() if p.grad is not None and not p.grad.is_sparse
        ]
        limit = config.clip if config.clip > 0 else float("inf")
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, limit, foreach=True))
        mean = float(total) / batch.count
        checks.check_finite(mean, "the loss", state.step)
        checks.check_finite(norm, "the gradient's norm", state.step)
        state.optimizer.step()
        state.optimizer.zero_grad()
        self._update_average()
        state.seconds += time.perf_counter() - began
        return mean, norm

    def _update_average(self) -> None:
        decay = self.config.average_decay
        if decay == 0.0:
            return
        weights = {name: p.detach() for name, p in trained_parameters(self.model).items()}
        if not self.state.average:
            self.state.average = {name: p.clone() for name, p in weights.items()}
        torch._foreach_lerp_(list(self.state.average.values()), list(weights.values()), 1 - decay)

    def _log(self, loss: float, norm: float) -> None:
        state, config = self.state, self.config
        if state.step % config.log_every and state.step != config.steps:
            return
        self.metrics.write(
            state.step,
            loss=loss,
            gradient_norm=norm,
            tokens=state.trained_tokens,
            seconds=round(state.seconds, 3),
        )
        left = state.seconds / state.step * (config.steps - state.step)
        self.watcher.progress(
            Progress(
                self.stage.name,
                state.step,
                config.steps,
                loss,
                state.trained_tokens,
                state.seconds,
                left,
            )
        )

    def _evaluate(self, step: int) -> dict[str, float]:
        """Validation and samples, with the averaged weights where there are some."""
        with _with_weights(self.model, self.state.average), torch.no_grad():
            self.model.eval()
            figures = self.stage.evaluate(self.model)
            samples = self.stage.samples(self.model)
            self.model.train()
            if self.config.patience:
                self.state.best.see(step, figures, self.model, self.config)
        self.metrics.write(step, **figures, samples=samples, seconds=round(self.state.seconds, 3))
        self.watcher.progress(
            Progress(
                self.stage.name,
                step,
                self.config.steps,
                self.state.first_loss,
                self.state.trained_tokens,
                self.state.seconds,
                float("nan"),
                figures,
                samples,
            )
        )
        return figures

    def _is_save_due(self) -> bool:
        """Which steps are saved decides nothing but what a crash costs and what can be talked to meanwhile."""
        state, config = self.state, self.config
        return (
            state.step % config.save_every == 0
            or 0 < config.save_seconds <= state.seconds - self.saved_at
        )

    def _save(self) -> None:
        self.saved_at = self.state.seconds
        self.metrics.sync()
        self.watcher.saved(self.state.save(self.run, self.tokenizer, self.config.keep))

    def _finish(self, before: dict[str, torch.Tensor]) -> Path:
        state, config = self.state, self.config
        figures, weights = (
            {} if state.best.has_given_up(config) else self._evaluate(state.step),
            state.average,
        )
        if config.patience:
            figures, weights = state.best.figures, state.best.weights
            self.watcher.say(state.best.sentence(state.step, config))
        change = checks.check_changed(before, self.model) if self.steps_here else float("nan")
        notes = {
            "stage": self.stage.name,
            "steps": state.step,
            "trained_tokens": state.trained_tokens,
            "seconds": round(state.seconds, 1),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "trained_parameters": count_parameters(self.model),
            "first_loss": state.first_loss,
            "weight_change": change,
            "figures": figures,
            "parent": _identity(self.parent),
            "dtype": str(self.dtype),
        }
        self._save()
        with _with_weights(self.model, weights):
            model_directory.save(self.run / "model", self.model, self.tokenizer, notes, self.base)
        self.model.eval()
        return self.run / "model"


class _with_weights:
    """Inside the block the model holds the given weights, where there are some; afterwards its own again, bit for bit."""

    def __init__(self, model: Model, weights: dict[str, torch.Tensor]) -> None:
        self.model, self.weights = model, weights

    def __enter__(self) -> None:
        self.own = (
            {name: p.detach().clone() for name, p in trained_parameters(self.model).items()}
            if self.weights
            else {}
        )
        self._put(self.weights)

    def __exit__(self, *_: object) -> None:
        self._put(self.own)

    def _put(self, weights: dict[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, p in trained_parameters(self.model).items():
                if weights:
                    p.copy_(weights[name])


def _identity(parent: Path | None) -> str | None:
    """The parent's weights by their hash: a run continued from other weights is another run."""
    return None if parent is None else model_directory.weights_hash(parent)
