"""The optimizer of a run: AdamW for everything, or Muon for the matrices inside the blocks and AdamW for the rest; tables with sparse gradients
take RowRMS.

State is a flat table of named tensors, so that it is saved as safetensors and compared bit by bit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from chatwright.model.model import Model, trained_parameters
from chatwright.training.optim.muon import Muon
from chatwright.training.optim.row_rms import RowRMS


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Settings of the optimizer."""

    kind: Literal["muon", "adamw"] = "muon"
    """adamw for every weight, or muon for the matrices of the blocks and AdamW for the rest."""
    learning_rate: float = 3e-3
    """Peak learning rate of AdamW."""
    matrix_learning_rate: float = 2e-2
    """Peak learning rate of Muon."""
    embedding_learning_rate: float = 0.0
    """Peak learning rate of AdamW for embeddings and the head; 0 takes learning_rate."""
    ngram_learning_rate: float = 1e-1
    """Peak learning rate of tables with sparse gradients: n-gram embeddings, word vectors."""
    sparse_kind: Literal["rms", "adagrad"] = "rms"
    """How those tables step: adagrad takes ever smaller steps, rms keeps their size."""
    beta1: float = 0.9
    """Decay of AdamW's mean of the gradient."""
    beta2: float = 0.95
    """Decay of AdamW's mean of the squared gradient."""
    eps: float = 1e-10
    """Added to the denominator of AdamW."""
    momentum: float = 0.95
    """Momentum of Muon."""
    weight_decay: float = 0.1
    """Decay of the matrices; norms, biases and embeddings are not decayed."""

    def __post_init__(self) -> None:
        for name in ("learning_rate", "matrix_learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} ({getattr(self, name)}) must be above 0")


class Optimizer:
    """Both kinds behind one face. Learning rates are set by `set_factor`, as a share of their peaks."""

    def __init__(
        self,
        model: Model,
        config: OptimizerConfig,
        compute_dtype: torch.dtype,
        own: Mapping[str, nn.Parameter] | None = None,
    ) -> None:
        """`own` are the stage's weights, which are trained along."""
        self.named = trained_parameters(model) | {
            f"stage.{name}": p for name, p in (own or {}).items()
        }
        matrices = {name: p for name, p in self.named.items() if "blocks." in name and p.ndim == 2}
        sparse = {name: p for name, p in self.named.items() if name.startswith(model.sparse_tables)}
        tables = {
            name: p
            for name, p in self.named.items()
            if p.ndim == 2 and name not in matrices | sparse
        }
        small = {name: p for name, p in self.named.items() if p.ndim != 2}
        table_lr = config.embedding_learning_rate or config.learning_rate
        self.rates = _rates_in_use(config, bool(matrices), bool(tables), bool(small), bool(sparse))
        groups = [
            {"params": list(tables.values()), "weight_decay": 0.0, "lr": table_lr},
            {"params": list(small.values()), "weight_decay": 0.0, "lr": config.learning_rate},
        ]
        self.parts: list[torch.optim.Optimizer] = []
        if config.kind == "muon" and matrices:
            self.parts.append(
                Muon(
                    matrices.values(),
                    config.matrix_learning_rate,
                    config.momentum,
                    config.weight_decay,
                    compute_dtype,
                )
            )
        else:
            groups.append(
                {
                    "params": list(matrices.values()),
                    "weight_decay": config.weight_decay,
                    "lr": config.learning_rate,
                }
            )
        if sparse:
            self.parts.append(
                RowRMS(
                    sparse.values(),
                    config.ngram_learning_rate,
                    1.0 if config.sparse_kind == "adagrad" else config.beta2,
                )
            )
        groups = [group for group in groups if group["params"]]
        if groups:
            self.parts.append(
                torch.optim.AdamW(
                    groups, betas=(config.beta1, config.beta2), eps=config.eps, fused=True
                )
            )
        for part in self.parts:
            for group in part.param_groups:
                group["peak"] = group["lr"]

    def set_factor(self, factor: float) -> None:
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = group["peak"] * factor

    def step(self) -> None:
        for part in self.parts:
            part.step()

    def zero_grad(self) -> None:
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def state_tensors(self) -> dict[str, Tensor]:
        """`name|entry` -> tensor, for every parameter that has been stepped."""
        tensors = {}
        for part in self.parts:
            for name, p in self.named.items():
                for entry, value in part.state.get(p, {}).items():
                    tensors[f"{name}|{entry}"] = value
        return tensors

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        owner = {
            id(p): part
            for part in self.parts
            for group in part.param_groups
            for p in group["params"]
        }
        for key, value in tensors.items():
            name, entry = key.rsplit("|", 1)
            p = self.named[name]
            owner[id(p)].state[p][entry] = value.to(
                p.device
            )  # its count of steps too: the fused kernel reads it there


def _rates_in_use(
    config: OptimizerConfig, matrices: bool, tables: bool, small: bool, sparse: bool
) -> dict[str, float]:
    """The settings that move this model, given which kinds of parameter it has."""
    has_own_rate = config.embedding_learning_rate > 0
    in_use = {
        "learning_rate": small
        or (tables and not has_own_rate)
        or (matrices and config.kind == "adamw"),
        "matrix_learning_rate": matrices and config.kind == "muon",
        "embedding_learning_rate": tables and has_own_rate,
        "ngram_learning_rate": sparse,
    }
    return {name: getattr(config, name) for name, is_used in in_use.items() if is_used}
