"""The training loop, shared by every stage.

A stage supplies batches and a loss (`stage.py`). Everything else is here once: gradient
accumulation, clipping, the learning-rate schedule, weight averaging, evaluation, checkpoints, exact
resume and the checks that fail a run that learned nothing.
"""

import json
import math
import time
from pathlib import Path
from typing import Any, TypeVar

import torch

from chatwright import config as config_files
from chatwright.checkpoint import directory, model_directory, run_directory
from chatwright.checkpoint.lock import writer_lock
from chatwright.checkpoint.origin import origin_after
from chatwright.devices import (
    generator,
    keeping_freed_memory,
    resolve_device,
    resolve_precision,
    return_freed_memory,
)
from chatwright.errors import InputError
from chatwright.model import lora
from chatwright.model.dropout import set_dropout_generator
from chatwright.model.model import Model, trained_parameters
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.training import checks, outcome
from chatwright.training.loop_config import LoopConfig
from chatwright.training.metrics import Metrics
from chatwright.training.optim.optimizer import Optimizer
from chatwright.training.run_notes import parent_hash, run_notes
from chatwright.training.stage import Batch, Stage
from chatwright.training.step import StepResult, train_step
from chatwright.training.train_state import TrainState
from chatwright.training.watcher import Progress, Stopped, Watcher
from chatwright.training.weight_average import update_average, use_weights

M = TypeVar("M", bound=Model)
Micro = TypeVar("Micro")
STEPS_BETWEEN_RETURNS = 50
"""Steps after which freed memory is returned to the system. Each return costs some milliseconds."""
PROGRESS_SECONDS = 1.0
"""Longest time between two reports of progress, if a step is not longer itself."""


def train(
    run: Path,
    model: M,
    stage: Stage[M, Micro],
    tokenizer: Tokenizer,
    config: LoopConfig,
    watcher: Watcher = Watcher(),
    parent: Path | None = None,
    settings: dict[str, Any] | None = None,
) -> Path:
    """Train `model` and return the directory of the finished model, run/model.

    An interrupted run in the directory `run` is resumed, with a bit-identical result.

    Args:
        run: Directory of the run: model, metrics.jsonl, run.json, checkpoints.
        model: The model to train; it is moved to the device.
        stage: Batches and loss.
        tokenizer: Saved with the model.
        config: Settings of the loop.
        watcher: Receives progress and messages.
        parent: The model directory that the first weights were loaded from.
        settings: Further settings that identify the run, such as the model's shape.

    Raises:
        Stopped: The watcher asked to stop; the run is saved.
        RunFailed: A check failed, such as a loss that is not finite.
        InputError: The directory holds a finished run, or one with other settings.
    """
    with writer_lock(run), keeping_freed_memory():
        loop = Loop(run, model, stage, tokenizer, config, watcher, parent, settings or {})
        try:
            return loop.run_to_end()
        finally:
            loop.metrics.close()


class Loop:
    """One run: the objects it needs and its steps in order."""

    def __init__(
        self,
        run: Path,
        model: Model,
        stage: Stage[Any, Any],
        tokenizer: Tokenizer,
        config: LoopConfig,
        watcher: Watcher,
        parent: Path | None,
        settings: dict[str, Any],
    ) -> None:
        self.run = run
        self.stage = stage
        self.tokenizer = tokenizer
        self.config = config
        self.watcher = watcher
        self.parent = parent
        device = resolve_device(config.device)
        self.dtype = resolve_precision(config.precision, device)
        self.model = model.to(device).train()
        self.base = None  # the base model, if `model` is an adapter
        if parent is not None and lora.lora_layers(model):
            self.base = model_directory.base_of(model, parent)
        self.state = self._fresh_state(settings, device)
        directory.recover(run)
        directory.recover(run / run_directory.CHECKPOINTS)
        self._resume_or_start()

    def _fresh_state(self, settings: dict[str, Any], device: torch.device) -> TrainState:
        dropout = generator(self.config.seed, "dropout", device)
        set_dropout_generator(self.model, dropout)
        optimizer = Optimizer(
            self.model, self.config.optimizer, self.dtype, self.stage.own_weights()
        )
        run_settings = settings | {
            "loop": config_files.to_table(self.config),
            "data": self.stage.describe(),
            "parent": parent_hash(self.parent),
        }
        generators = {"dropout": dropout}
        return TrainState(
            self.model,
            optimizer,
            self.stage,
            generators,
            run_settings,
            self.base,
            origin_after(self.parent),
        )

    def _resume_or_start(self) -> None:
        newest = run_directory.newest_checkpoint(self.run, self.watcher.say)
        log = self.run / "metrics.jsonl"
        if newest is None and log.exists() and (self.run / run_directory.MODEL).exists():
            raise InputError(
                f"{self.run}: this directory already holds a finished run.",
                remedy="Give another --out directory, or delete this one to start over.",
                field="--out",
                value=str(self.run),
            )
        if newest is not None:
            self.state.load(newest, self.config, self.watcher.say)
            if self.state.step < self.config.steps:
                self.watcher.say(f"resuming at step {self.state.step} of {self.config.steps}")
        self.metrics = Metrics(log, None if newest is None else self.state.step)
        settings = json.dumps(self.state.settings, indent=1, default=str)
        (self.run / run_directory.RUN_FILE).write_text(settings, encoding="utf-8")

    def run_to_end(self) -> Path:
        """Train to the last step and return the directory of the finished model."""
        state = self.state
        config = self.config
        before = {name: p.detach().clone() for name, p in trained_parameters(self.model).items()}
        self.seconds_at_save = state.seconds
        self.progress_at = time.monotonic()
        # This stays 0 if the run was killed after its last step was saved.
        self.steps_since_resume = 0
        while state.step < config.steps and not state.best.should_stop(config):
            batch = self._next_batch()
            checks.check_supervised(batch.count, state.step)
            if state.step == 0:
                self.watcher.activity("checking the loss before the first step")
                state.first_loss = self.stage.check_start(self.model, batch, self.parent)
                self._evaluate(0)
            self._log(self._step(batch))
            if state.step % STEPS_BETWEEN_RETURNS == 0:
                return_freed_memory()
            if state.step % config.evaluate_every == 0 and state.step < config.steps:
                self._evaluate(state.step)
            is_stopping = self.watcher.should_stop()
            if state.best.should_stop(config):
                break
            if is_stopping or (self._is_save_due() and state.step < config.steps):
                self._save()
            if is_stopping and state.step < config.steps:
                raise Stopped(
                    f"stopped at step {state.step} of {config.steps} and saved. "
                    "The same command resumes it."
                )
        return self._finish(before)

    def _next_batch(self) -> Batch[Any]:
        """Return the next batch; sampling replies for it counts as training time."""
        began = time.perf_counter()
        batch = self.stage.next_batch(self.model)
        self.state.seconds += time.perf_counter() - began
        return batch

    def _step(self, batch: Batch[Any]) -> StepResult:
        """Take one optimizer step and count it."""
        state = self.state
        config = self.config
        began = time.perf_counter()
        state.optimizer.set_factor(config.rate_factor(state.step))
        result = train_step(self.model, self.stage, batch, state.optimizer, config.clip)
        checks.check_finite(result.loss, "the loss", state.step)
        checks.check_finite(result.gradient_norm, "the norm of the gradient", state.step)
        state.average = update_average(state.average, self.model, config.average_decay)
        state.seconds += time.perf_counter() - began
        state.step += 1
        state.trained_tokens += batch.count
        self.steps_since_resume += 1
        return result

    def _log(self, result: StepResult) -> None:
        """Log every `log_every` steps; report progress then, and also at least by the clock."""
        state = self.state
        config = self.config
        is_logged = state.step % config.log_every == 0 or state.step == config.steps
        if is_logged:
            self.metrics.write(
                state.step,
                loss=result.loss,
                gradient_norm=result.gradient_norm,
                **result.metrics,
                tokens=state.trained_tokens,
                seconds=round(state.seconds, 3),
            )
        now = time.monotonic()
        if is_logged or now - self.progress_at >= PROGRESS_SECONDS:
            self.progress_at = now
            seconds_left = state.seconds / state.step * (config.steps - state.step)
            self.watcher.progress(self._progress(result.loss, seconds_left))

    def _progress(self, loss: float, seconds_left: float, **evaluation: Any) -> Progress:
        return Progress(
            self.stage.name,
            self.state.step,
            self.config.steps,
            loss,
            self.state.trained_tokens,
            self.state.seconds,
            seconds_left,
            **evaluation,
        )

    def _evaluate(self, step: int) -> dict[str, float]:
        """Log figures and samples; use the averaged weights if there are any."""
        with use_weights(self.model, self.state.average), torch.no_grad():
            self.model.eval()
            self.watcher.activity("evaluating")
            figures = self.stage.evaluate(self.model)
            self.watcher.activity("writing samples")
            samples = self.stage.samples(self.model)
            self.model.train()
            if self.config.patience:
                self.state.best.add(step, figures, self.model, self.config)
        seconds = round(self.state.seconds, 3)
        self.metrics.write(step, **figures, samples=samples, seconds=seconds)
        progress = self._progress(
            self.state.first_loss, math.nan, evaluation=figures, samples=samples
        )
        self.watcher.progress(progress)
        return figures

    def _is_save_due(self) -> bool:
        """Whether to save after this step. Saving never changes the result of a run."""
        state = self.state
        seconds = state.seconds - self.seconds_at_save
        is_late = 0 < self.config.save_seconds <= seconds
        return state.step % self.config.save_every == 0 or is_late

    def _save(self) -> None:
        self.seconds_at_save = self.state.seconds
        self.metrics.sync()
        self.watcher.saved(self.state.save(self.run, self.tokenizer, self.config.keep))

    def _finish(self, before: dict[str, torch.Tensor]) -> Path:
        """Evaluate, check that something was learned, and write the finished model."""
        state = self.state
        config = self.config
        figures = {} if state.best.should_stop(config) else self._evaluate(state.step)
        weights = state.average
        if config.patience:
            figures = state.best.figures
            weights = state.best.weights
            self.watcher.say(state.best.message(state.step, config))
        change = checks.check_changed(before, self.model) if self.steps_since_resume else math.nan
        self._save()
        result = outcome.judge(self.metrics.records, figures, config)
        if result is not None and result.warning:
            self.watcher.warn(result.warning)
        notes = run_notes(state, figures, change, result, self.parent, str(self.dtype))
        sampling = {}
        if self.parent is not None and self.base is None:  # an adapter has those of its base
            sampling = model_directory.sampling_entries(model_directory.find(self.parent))
        with use_weights(self.model, weights):
            model_directory.save(
                self.run / run_directory.MODEL,
                self.model,
                self.tokenizer,
                notes,
                self.base,
                sampling,
            )
        self.model.eval()
        return self.run / run_directory.MODEL
