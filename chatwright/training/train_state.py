"""Everything that must survive a kill, in one checkpoint: weights, optimizer, every generator by name, data position, averages, step.

A checkpoint is itself a model directory, so a half-trained model can be talked to. State is safetensors and JSON, never a pickle.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chatwright.checkpoint import directory, model_directory, safetensors_file
from chatwright.checkpoint.adapter_directory import Base
from chatwright.devices import environment
from chatwright.model.model import Model
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.training.early_stopping import Best
from chatwright.training.optim.optimizer import Optimizer
from chatwright.training.stage import Stage


@dataclass
class TrainState:
    """The live objects of a run. `step` is the number of optimizer steps done."""

    model: Model
    optimizer: Optimizer
    stage: Stage[Any, Any]
    generators: dict[str, torch.Generator]
    config_hash: str
    base: Base | None = (
        None  # what the model's adapter stands on: then a checkpoint holds the adapter alone
    )
    step: int = 0
    trained_tokens: int = 0
    seconds: float = 0.0
    first_loss: float = float("nan")
    average: dict[str, Tensor] = field(default_factory=dict)
    best: Best = field(default_factory=Best)

    def save(self, run: Path, tokenizer: Tokenizer, keep: int) -> Path:
        """Commit checkpoints/step-N; older ones beyond `keep` go only after the new one was read again and verified."""
        path = run / "checkpoints" / f"step-{self.step:08d}"
        with directory.atomic_directory(path) as building:
            model_directory.write(building, self.model, tokenizer, self.base)
            tensors = {f"optimizer/{name}": t for name, t in self.optimizer.state_tensors().items()}
            tensors |= {f"stage/{name}": p for name, p in self.stage.own_weights().items()}
            tensors |= {f"average/{name}": t for name, t in self.average.items()}
            tensors |= {f"best/{name}": t for name, t in self.best.weights.items()}
            tensors |= {f"generator/{name}": g.get_state() for name, g in self.generators.items()}
            safetensors_file.save(tensors, building / "train_state.safetensors")
            (building / "train_state.json").write_text(json.dumps(self._numbers(), indent=1))
        directory.verify(path)
        for old in sorted((run / "checkpoints").glob("step-*"))[:-keep]:
            directory.remove(old)
        return path

    def _numbers(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "trained_tokens": self.trained_tokens,
            "seconds": self.seconds,
            "first_loss": self.first_loss,
            "best": self.best.numbers(),
            "stage": self.stage.state_dict(),
            "config_hash": self.config_hash,
            "environment": environment(),
        }

    def load(self, path: Path, report: Callable[[str], None]) -> None:
        """Take over the checkpoint at `path`. A run of another configuration is refused; another machine is reported."""
        numbers = json.loads((path / "train_state.json").read_text())
        if numbers["config_hash"] != self.config_hash:
            raise ValueError(
                f"{path.parent.parent}: holds a run with other settings or data, so it cannot go on from there. "
                "Give another --out folder, or delete this one to start over."
            )
        changed = {
            k: (v, environment().get(k))
            for k, v in numbers["environment"].items()
            if environment().get(k) != v
        }
        if changed:
            report(
                "resuming on another machine or build; the result may differ in the last bits: "
                + ", ".join(f"{k} was {was}, is {now}" for k, (was, now) in changed.items())
            )
        model_directory.restore(self.model, path)
        tensors = safetensors_file.load(path / "train_state.safetensors")
        self.optimizer.load_state_tensors(_under(tensors, "optimizer/"))
        with torch.no_grad():
            for name, p in self.stage.own_weights().items():
                p.copy_(tensors[f"stage/{name}"])
        self.average = self._in_order(_under(tensors, "average/"))
        self.best = Best(**numbers["best"], weights=self._in_order(_under(tensors, "best/")))
        for name, state in _under(tensors, "generator/").items():
            self.generators[name].set_state(state)
        self.stage.load_state_dict(numbers["stage"])
        self.step, self.trained_tokens = numbers["step"], numbers["trained_tokens"]
        self.seconds, self.first_loss = numbers["seconds"], numbers["first_loss"]

    def _in_order(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The file's order is not the model's."""
        return {
            name: weights[name].to(self.model.device)
            for name, _ in self.model.named_parameters()
            if name in weights
        }


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
