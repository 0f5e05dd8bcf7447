"""A smaller model from every other layer of a larger one (Sanh et al. 2019, section 3).

Embeddings, norms and head are copied unchanged.
"""

import dataclasses
import re
from typing import Any, TypeVar

import torch

from chatwright.errors import InputError
from chatwright.model.model import Model, count_parameters

M = TypeVar("M", bound=Model)


def every_other_layer(teacher: M) -> M:
    """Return a new model with layers 1, 3, 5, ... of the teacher.

    Raises:
        InputError: The teacher has one layer, or layers that share their weights.
    """
    config: Any = teacher.config
    n_layer = getattr(config, "n_layer", 0)
    if n_layer < 2 or len(getattr(teacher, "blocks", ())) != n_layer:
        raise InputError(
            'distillation.start = "every-other-layer" needs a teacher of at least two layers, each '
            "with its own weights.",
            remedy='Set distillation.start = "fresh" and give the shape of the student in model.',
            field="distillation.start",
            value="every-other-layer",
        )
    kept = list(range(0, n_layer, 2))
    student = type(teacher)(_smaller_config(config, kept))
    weights = dict(teacher.named_parameters())
    with torch.no_grad():
        for name, parameter in student.named_parameters():
            parameter.copy_(weights[_teacher_name(name, kept)])
    assert count_parameters(student) < count_parameters(teacher)
    return student.train(teacher.training)


def _teacher_name(name: str, kept: list[int]) -> str:
    """Return the teacher's name of a student's parameter: blocks.1. is the teacher's blocks.2."""
    return re.sub(r"^blocks\.(\d+)\.", lambda match: f"blocks.{kept[int(match[1])]}.", name)


def _smaller_config(config: Any, kept: list[int]) -> Any:
    """Return the config with fewer layers.

    Settings that list layers by number, such as `nope_layers`, list the new numbers.
    """
    layer_lists = [
        field.name for field in dataclasses.fields(config) if field.name.endswith("_layers")
    ]
    changes = {
        name: tuple(new for new, old in enumerate(kept) if old in getattr(config, name))
        for name in layer_lists
    }
    return dataclasses.replace(config, n_layer=len(kept), **changes)
