"""Compare a model with its implementation in transformers.

The reference model gets random weights and writes them to disk; Chatwright reads them, and both
models compute the same inputs. The files of the families list the cases, `measure` returns the
largest difference, and docs/parity.py writes the table in docs/PARITY.md.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from chatwright.checkpoint import public_model
from chatwright.model.model import Model

# Outputs to compare by name: (reference's, model's).
Pairs = dict[str, tuple[Tensor, Tensor]]
# (reference, model, dtype of the model's activations) -> outputs. None: the dtype of the weights.
Outputs = Callable[[Any, Any, torch.dtype | None], Pairs]

DTYPES = {"float64": torch.float64, "float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Case:
    """One configuration of a model family."""

    family: str  # model_type in config.json
    variant: str  # the settings that this configuration tries
    make_reference: Callable[[], nn.Module]  # makes the model of transformers
    outputs: Outputs


def make_random(model_class: Any, config: Any) -> nn.Module:
    """Make a transformers model in which every weight is random.

    Usual initial values, such as norms of exactly 1 and biases of exactly 0, would hide a weight
    that is not read.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        reference = model_class(config).eval()
        with torch.no_grad():
            for name, parameter in reference.named_parameters():
                is_vector = parameter.ndim == 1
                if is_vector and name.endswith("weight"):
                    parameter.uniform_(0.5, 1.5)
                else:
                    std = 0.2 if is_vector else 0.7 * max(parameter.shape) ** -0.5
                    parameter.normal_(0.0, std)
    return reference


def read_back(reference: Any, directory: Path) -> Model:
    """Write the reference model to a directory and read it with Chatwright."""
    reference.save_pretrained(directory)
    return public_model.read(directory).model


def largest_difference(pairs: Pairs) -> float:
    """Return the largest absolute difference over all pairs of outputs."""
    return max(
        float((actual.double() - expected.double()).abs().max())
        for expected, actual in pairs.values()
    )


@torch.no_grad()
def measure(case: Case, directory: Path, dtypes: Iterable[str] = DTYPES) -> dict[str, float]:
    """Return the largest difference of a case by dtype.

    In float64 a small difference shows that both compute the same formula. In bfloat16 it shows
    how much the dtype costs. The weights stay in float32 for bfloat16 activations.
    """
    reference = case.make_reference()
    model = read_back(reference, directory)
    differences = {}
    for name in dtypes:
        dtype = DTYPES[name]
        reference.to(dtype)
        if dtype == torch.float64:
            pairs = case.outputs(reference, model.to(dtype), None)
        else:
            pairs = case.outputs(reference, model.float(), dtype)
        differences[name] = largest_difference(pairs)
        reference.float()
        model.float()
    return differences
