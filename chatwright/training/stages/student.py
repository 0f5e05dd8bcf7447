"""A smaller model out of a larger one: every other layer of it, with embeddings, norms and head as they are (Sanh et al. 2019, section 3)."""

import dataclasses
import re
from typing import Any, TypeVar

import torch

from chatwright.model.model import Model, count_parameters

M = TypeVar("M", bound=Model)


def every_other_layer(teacher: M) -> M:
    """Layers 1, 3, 5, ... of the teacher as a model of its own. Raises ValueError where a model has no plain stack of layers."""
    config: Any = teacher.config
    n_layer = getattr(config, "n_layer", 0)
    if n_layer < 2 or len(getattr(teacher, "blocks", ())) != n_layer:
        raise ValueError(
            'start = "every-other-layer" needs a teacher of two layers or more, each with weights of its own. '
            'Use start = "fresh" and say the student\'s shape in model.'
        )
    kept = list(range(0, n_layer, 2))
    student = type(teacher)(_smaller(config, kept))
    theirs = dict(teacher.named_parameters())
    with torch.no_grad():
        for name, parameter in student.named_parameters():
            parameter.copy_(
                theirs[
                    re.sub(
                        r"^blocks\.(\d+)\.", lambda found: f"blocks.{kept[int(found[1])]}.", name
                    )
                ]
            )
    assert count_parameters(student) < count_parameters(teacher)
    return student.train(teacher.training)


def _smaller(config: Any, kept: list[int]) -> Any:
    """Settings that name layers by number name the same layers by their new ones."""
    by_layer = {
        field.name for field in dataclasses.fields(config) if field.name.endswith("_layers")
    }
    changes = {
        name: tuple(new for new, old in enumerate(kept) if old in getattr(config, name))
        for name in by_layer
    }
    return dataclasses.replace(config, n_layer=len(kept), **changes)
