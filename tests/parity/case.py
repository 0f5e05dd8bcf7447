"""One comparison with an independent implementation: its model with random small weights, written to disk by it, read by us, both run.

A family's file lists its cases; `measure` says how far apart the outputs are; docs/parity.py writes the table.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from chatwright.checkpoint import public_model
from chatwright.model.model import Model

# How their outputs and ours are had, side by side: (theirs, ours, dtype of ours' activations) -> pairs to be compared whole.
Outputs = Callable[[Any, Any, torch.dtype | None], dict[str, tuple[Tensor, Tensor]]]


@dataclass(frozen=True)
class Case:
    family: str  # model_type
    branch: str  # what this configuration is there to try
    make: Callable[[], nn.Module]  # their model
    outputs: Outputs


def make_random(model_class: Any, config: Any) -> nn.Module:
    """Their model, every number drawn anew: initial values (norms of exactly 1, biases of exactly 0) would hide a forgotten weight."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = model_class(config).eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.ndim == 1 and name.endswith("weight"):
                    parameter.uniform_(0.5, 1.5)
                else:
                    parameter.normal_(
                        0.0, 0.2 if parameter.ndim == 1 else 0.7 * max(parameter.shape) ** -0.5
                    )
    return model


def read_back(theirs: Any, directory: Path) -> Model:
    theirs.save_pretrained(directory)
    return public_model.read(directory).model


def largest(pairs: dict[str, tuple[Tensor, Tensor]]) -> float:
    """The largest absolute difference over all pairs of outputs."""
    return max(
        float((ours.double() - theirs.double()).abs().max()) for theirs, ours in pairs.values()
    )


DTYPES = {"float64": torch.float64, "float32": torch.float32, "bfloat16": torch.bfloat16}


@torch.no_grad()
def measure(case: Case, directory: Path, dtypes: Iterable[str] = DTYPES) -> dict[str, float]:
    """The largest difference by dtype. float64 shows that both compute the same formula, bfloat16 how much the dtype alone costs."""
    theirs = case.make()
    ours = read_back(theirs, directory)
    found = {}
    for name in dtypes:
        dtype = DTYPES[name]
        exact = dtype == torch.float64
        found[name] = largest(
            case.outputs(
                theirs.to(dtype),
                ours.to(dtype) if exact else ours.float(),
                None if exact else dtype,
            )
        )
        theirs.float()
        ours.float()
    return found
