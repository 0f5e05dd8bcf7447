"""The state of a run, from which a killed run resumes, saved as one checkpoint.

It holds the weights, the optimizer's state, every random generator by name, the stage's state, the
moving average, the best weights and the counters. A checkpoint is itself a model directory, so you
can chat with a model that is still being trained. The state is safetensors and JSON, never a
pickle.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chatwright.checkpoint import directory, model_directory, run_directory, safetensors_file
from chatwright.checkpoint.adapter_directory import Base
from chatwright.checkpoint.origin import ORIGIN, Origin
from chatwright.devices import environment
from chatwright.errors import InputError
from chatwright.model.model import Model
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.training.early_stopping import BestEvaluation
from chatwright.training.loop_config import LoopConfig
from chatwright.training.optim.optimizer import Optimizer
from chatwright.training.run_settings import identifying, require_resumable
from chatwright.training.stage import Stage, StageState

NUMBERS_FILE = run_directory.STATE_FILE
TENSORS_FILE = "train_state.safetensors"


@dataclass
class TrainState:
    """The live objects of a run, and how they are saved and loaded."""

    model: Model
    optimizer: Optimizer
    stage: Stage[Any, Any]
    generators: dict[str, torch.Generator]
    settings: dict[str, Any]
    """Settings of the run. A checkpoint of a run with other settings is not loaded."""
    base: Base | None = None
    """The base model of an adapter; a checkpoint then holds the adapter alone."""
    origin: Origin = "trained"
    """Where the first weights came from; each checkpoint says it, since it can be a parent."""
    step: int = 0
    """Optimizer steps done."""
    trained_tokens: int = 0
    """Sum of the counts of all batches: supervised tokens, texts or pairs."""
    seconds: float = 0.0
    """Training time, without evaluations."""
    first_loss: float = float("nan")
    """Loss before the first update."""
    average: dict[str, Tensor] = field(default_factory=dict)
    """Moving average of the weights."""
    best: BestEvaluation = field(default_factory=BestEvaluation)

    def save(self, run: Path, tokenizer: Tokenizer, keep: int) -> Path:
        """Write run/checkpoints/step-N and return it.

        Older checkpoints beyond `keep` are removed only after the new one was read back and
        verified.
        """
        path = run_directory.checkpoint_path(run, self.step)
        with directory.atomic_directory(path) as building:
            model_directory.write(building, self.model, tokenizer, self.base)
            notes = json.dumps({ORIGIN: self.origin})
            (building / model_directory.TRAINING_FILE).write_text(notes, encoding="utf-8")
            stage_state = self.stage.state()
            safetensors_file.save(self._tensors(stage_state), building / TENSORS_FILE)
            numbers = json.dumps(self._numbers(stage_state), indent=1, default=str)
            (building / NUMBERS_FILE).write_text(numbers, encoding="utf-8")
        directory.verify(path)
        for old in run_directory.checkpoints(run)[:-keep]:
            directory.remove(old)
        return path

    def _tensors(self, stage_state: StageState) -> dict[str, Tensor]:
        generators = {name: g.get_state() for name, g in self.generators.items()}
        groups: dict[str, dict[str, Any]] = {
            "optimizer": self.optimizer.state_tensors(),
            "stage": self.stage.own_weights(),
            "stage_state": stage_state.tensors,
            "average": self.average,
            "best": self.best.weights,
            "generator": generators,
        }
        return {
            f"{group}/{name}": tensor
            for group, tensors in groups.items()
            for name, tensor in tensors.items()
        }

    def _numbers(self, stage_state: StageState) -> dict[str, Any]:
        return {
            "step": self.step,
            "trained_tokens": self.trained_tokens,
            "seconds": self.seconds,
            "first_loss": self.first_loss,
            "best": self.best.numbers(),
            "stage": stage_state.numbers,
            "settings": identifying(self.settings),
            "environment": environment(),
        }

    def load(self, path: Path, config: LoopConfig, report: Callable[[str], None]) -> None:
        """Continue from the checkpoint at `path`.

        Args:
            path: The checkpoint directory.
            config: The loop settings of this command.
            report: Receives a message if machine or build differ from the checkpoint's.

        Raises:
            InputError: The checkpoint belongs to a run with other settings or data.
        """
        numbers = json.loads((path / NUMBERS_FILE).read_text(encoding="utf-8"))
        self._require_same_run(numbers, path.parent.parent, config)
        _report_environment(numbers["environment"], report)
        model_directory.restore(self.model, path)
        tensors = safetensors_file.load(path / TENSORS_FILE)
        self.optimizer.load_state_tensors(_under(tensors, "optimizer/"))
        with torch.no_grad():
            for name, p in self.stage.own_weights().items():
                p.copy_(tensors[f"stage/{name}"])
        self.average = self._in_model_order(_under(tensors, "average/"))
        best_weights = self._in_model_order(_under(tensors, "best/"))
        self.best = BestEvaluation(**numbers["best"], weights=best_weights)
        for name, state in _under(tensors, "generator/").items():
            self.generators[name].set_state(state)
        self.stage.load_state(StageState(numbers["stage"], _under(tensors, "stage_state/")))
        self.step = numbers["step"]
        self.trained_tokens = numbers["trained_tokens"]
        self.seconds = numbers["seconds"]
        self.first_loss = numbers["first_loss"]

    def _require_same_run(self, numbers: dict[str, Any], run: Path, config: LoopConfig) -> None:
        if "settings" not in numbers:
            raise InputError(
                f"{run}: an earlier version of Chatwright began this run, so it cannot be resumed.",
                remedy="Give another --out directory. A finished model of it can still be used.",
                field="--out",
                value=str(run),
            )
        require_resumable(numbers["settings"], self.settings, config, numbers["step"], str(run))

    def _in_model_order(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `weights` in the order of the model's parameters; a file has its own order."""
        return {
            name: weights[name].to(self.model.device)
            for name, _ in self.model.named_parameters()
            if name in weights
        }


def _report_environment(saved: dict[str, Any], report: Callable[[str], None]) -> None:
    current = environment()
    changed = [
        f"{key} was {value}, is {current.get(key)}"
        for key, value in saved.items()
        if current.get(key) != value
    ]
    if changed:
        report(
            "resuming on another machine or build, so the result may differ in the last bits: "
            + ", ".join(changed)
        )


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
