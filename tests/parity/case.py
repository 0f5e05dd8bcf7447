"""Compare a model of Chatwright with the same model in transformers, called the reference.

The reference gets random weights and is saved; Chatwright loads it, and both models compute outputs
for the same inputs. The other modules of this folder list the cases. `measure` returns the largest
difference, and docs/parity.py writes the table in docs/PARITY.md.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from chatwright.checkpoint import public_model
from chatwright.model.model import Model

# Name of an output -> (the reference's, the model's).
Pairs = dict[str, tuple[Tensor, Tensor]]
# (reference, model, dtype of the model's activations; None: of its weights) -> outputs to compare.
Outputs = Callable[[Any, Any, torch.dtype | None], Pairs]

DTYPES = {"float64": torch.float64, "float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Case:
    """One configuration of a model family."""

    family: str  # model_type in config.json
    variant: str  # the settings of this configuration, in words
    make_reference: Callable[[], nn.Module]
    outputs: Outputs


def make_random(model_class: Any, config: Any) -> nn.Module:
    """Make a transformers model in which every weight is random.

    With the usual initial values, such as 1 for norms and 0 for biases, a weight that is not loaded
    would make no difference.
    """
    offset = 1.0 if config.model_type.startswith("gemma") else 0.0  # which Gemma adds again
    with torch.random.fork_rng():
        torch.manual_seed(0)
        reference = model_class(config).eval()
        with torch.no_grad():
            for name, parameter in reference.named_parameters():
                is_vector = parameter.ndim == 1
                if is_vector and name.endswith("weight"):
                    parameter.uniform_(0.5, 1.5).sub_(offset)
                else:
                    std = 0.2 if is_vector else 0.7 * max(parameter.shape) ** -0.5
                    parameter.normal_(0.0, std)
    return reference


def read_back(reference: Any, directory: Path) -> Model:
    """Save the reference in a directory and load it with Chatwright."""
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

    A small difference in float64 shows that both compute the same formula. The difference in
    bfloat16 shows the rounding error. Chatwright keeps weights in float32 for bfloat16 activations.
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
