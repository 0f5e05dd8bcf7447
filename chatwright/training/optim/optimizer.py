"""The optimizer of a run: AdamW, Muon and RowRMS, each for one kind of parameter.

- Matrices inside the Transformer blocks: Muon, or AdamW with `kind = "adamw"`.
- Embedding tables with sparse gradients (of n-grams or word vectors): RowRMS.
- All other parameters: AdamW.

The state is a flat dictionary of named tensors, so that it can be saved as safetensors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from chatwright.errors import InputError
from chatwright.model.model import Model, trained_parameters
from chatwright.training.optim.muon import Muon
from chatwright.training.optim.row_rms import RowRMS


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Settings of the optimizer. Each learning rate is the peak of its schedule."""

    kind: Literal["muon", "adamw"] = "muon"
    """Optimizer of the matrices inside the blocks. Others use AdamW or sparse_kind."""
    learning_rate: float = 3e-3
    """Peak learning rate of AdamW."""
    matrix_learning_rate: float = 2e-2
    """Peak learning rate of Muon."""
    embedding_learning_rate: float = 0.0
    """Peak learning rate of embedding tables and the head; 0 takes learning_rate."""
    ngram_learning_rate: float = 1e-1
    """Peak learning rate of tables with sparse gradients: n-grams, word vectors."""
    sparse_kind: Literal["rms", "adagrad"] = "rms"
    """Optimizer of tables with sparse gradients. adagrad shrinks its steps with every update."""
    beta1: float = 0.9
    """Decay of the mean gradient in AdamW."""
    beta2: float = 0.95
    """Decay of the mean squared gradient in AdamW and in sparse_kind=rms."""
    eps: float = 1e-10
    """Added to the root of the mean squared gradient in AdamW."""
    momentum: float = 0.95
    """Decay of the mean gradient in Muon."""
    weight_decay: float = 0.1
    """Weight decay of matrices inside the blocks. Norms, biases and embeddings have none."""

    def __post_init__(self) -> None:
        for name in ("learning_rate", "matrix_learning_rate"):
            value = getattr(self, name)
            if not value > 0:
                field = f"loop.optimizer.{name}"
                raise InputError(
                    f"{field} is {value}; it must be above 0.", field=field, value=value
                )


class Optimizer:
    """All optimizers of a run, stepped and saved together."""

    def __init__(
        self,
        model: Model,
        config: OptimizerConfig,
        compute_dtype: torch.dtype,
        stage_weights: Mapping[str, nn.Parameter] | None = None,
    ) -> None:
        """Sort the parameters by kind and create their optimizers.

        Args:
            model: The model.
            config: Learning rates and decays.
            compute_dtype: Number format of Muon's orthogonalization.
            stage_weights: Weights of the stage that are trained with the model.
        """
        added = {f"stage.{name}": p for name, p in (stage_weights or {}).items()}
        self.named = trained_parameters(model) | added
        """All trained parameters by name."""
        groups = _Groups(self.named, model.sparse_tables)
        self.rates = groups.rates_in_use(config)
        """The learning rates of the config that at least one parameter uses, by setting."""
        self.parts = groups.optimizers(config, compute_dtype)
        """The torch optimizers, at most one of each class."""
        for part in self.parts:
            for group in part.param_groups:
                group["peak"] = group["lr"]

    def set_factor(self, factor: float) -> None:
        """Set all learning rates to `factor` times their peaks."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = group["peak"] * factor

    def step(self) -> None:
        """Update all parameters that have a gradient."""
        for part in self.parts:
            part.step()

    def zero_grad(self) -> None:
        """Remove the gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def state_tensors(self) -> dict[str, Tensor]:
        """Return the state as {"parameter|entry": tensor}, of all parameters updated so far."""
        tensors = {}
        for part in self.parts:
            for name, p in self.named.items():
                for entry, value in part.state.get(p, {}).items():
                    tensors[f"{name}|{entry}"] = value
        return tensors

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore a state that `state_tensors` returned."""
        part_of = {
            id(p): part
            for part in self.parts
            for group in part.param_groups
            for p in group["params"]
        }
        for key, value in tensors.items():
            name, entry = key.rsplit("|", 1)
            p = self.named[name]
            # Fused AdamW needs its whole state, even the step count, on the parameter's device.
            part_of[id(p)].state[p][entry] = value.to(p.device)


class _Groups:
    """The parameters of a run by kind."""

    def __init__(self, named: Mapping[str, Tensor], sparse_tables: tuple[str, ...]) -> None:
        self.matrices: list[Tensor] = []
        """Matrices inside the Transformer blocks."""
        self.sparse: list[Tensor] = []
        """Tables with sparse gradients."""
        self.tables: list[Tensor] = []
        """Other matrices: embeddings and heads."""
        self.vectors: list[Tensor] = []
        """Norms and biases."""
        for name, p in named.items():
            if "blocks." in name and p.ndim == 2:
                self.matrices.append(p)
            elif name.startswith(sparse_tables):
                self.sparse.append(p)
            elif p.ndim == 2:
                self.tables.append(p)
            else:
                self.vectors.append(p)

    def optimizers(
        self, config: OptimizerConfig, compute_dtype: torch.dtype
    ) -> list[torch.optim.Optimizer]:
        """Create the optimizers that have at least one parameter."""
        adamw_matrices = self.matrices
        parts: list[torch.optim.Optimizer] = []
        if config.kind == "muon" and self.matrices:
            adamw_matrices = []
            muon = Muon(
                self.matrices,
                config.matrix_learning_rate,
                config.momentum,
                config.weight_decay,
                compute_dtype,
            )
            parts.append(muon)
        if self.sparse:
            beta = 1.0 if config.sparse_kind == "adagrad" else config.beta2
            parts.append(RowRMS(self.sparse, config.ngram_learning_rate, beta))
        if groups := self._adamw_groups(config, adamw_matrices):
            betas = (config.beta1, config.beta2)
            parts.append(torch.optim.AdamW(groups, betas=betas, eps=config.eps, fused=True))
        return parts

    def _adamw_groups(
        self, config: OptimizerConfig, matrices: list[Tensor]
    ) -> list[dict[str, Any]]:
        """Return the non-empty parameter groups of AdamW; `matrices` are those without Muon."""
        rate = config.learning_rate
        table_rate = config.embedding_learning_rate or rate
        groups: list[dict[str, Any]] = [
            {"params": self.tables, "weight_decay": 0.0, "lr": table_rate},
            {"params": self.vectors, "weight_decay": 0.0, "lr": rate},
            {"params": matrices, "weight_decay": config.weight_decay, "lr": rate},
        ]
        return [group for group in groups if group["params"]]

    def rates_in_use(self, config: OptimizerConfig) -> dict[str, float]:
        """Return the learning rates of the config that at least one parameter uses."""
        has_table_rate = config.embedding_learning_rate > 0
        uses_muon = config.kind == "muon"
        in_use = {
            "learning_rate": bool(
                self.vectors
                or (self.tables and not has_table_rate)
                or (self.matrices and not uses_muon)
            ),
            "matrix_learning_rate": bool(self.matrices) and uses_muon,
            "embedding_learning_rate": bool(self.tables) and has_table_rate,
            "ngram_learning_rate": bool(self.sparse),
        }
        return {name: getattr(config, name) for name, is_used in in_use.items() if is_used}
