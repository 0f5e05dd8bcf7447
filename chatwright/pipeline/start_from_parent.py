"""Start a model from a parent's weights with changed settings, such as another head.

The trunk (all weights except the head's) is copied from the parent. For example, a classifier or a
reward model starts from a language model.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from chatwright import config as config_files
from chatwright.checkpoint import build_model, model_directory
from chatwright.devices import generator
from chatwright.model import encoder, gpt
from chatwright.model.encoder import Encoder
from chatwright.model.gpt import GPT
from chatwright.model.transfer import copy_trunk

M = TypeVar("M", GPT, Encoder)

INITIALIZERS: dict[type, Callable[[Any, torch.Generator], None]] = {
    GPT: gpt.init_weights,
    Encoder: encoder.init_weights,
}


def start_from_parent(
    parent: Path, changes: Mapping[str, Any], seed: int, kind: type[M]
) -> tuple[M, list[str]]:
    """Return a model with the parent's weights, and the names of parameters the parent lacks.

    Args:
        parent: A model directory, or the directory of a run.
        changes: Settings that differ from the parent's, by name.
        seed: Seed of the parameters that the parent does not have.
        kind: The model class of both.

    Raises:
        InputError: A change is not possible, or would lose or randomize a weight of the trunk.
    """
    loaded, _ = model_directory.load(parent, kind=kind)
    config_class = type(loaded.config)
    renamed = config_files.rename_old_keys(config_class, changes, "model")
    config = config_files.build(config_class, {**vars(loaded.config), **renamed}, "model")
    model = build_model.build(kind, config)
    INITIALIZERS[kind](model, generator(seed, "weights of a new head"))
    return model, copy_trunk(loaded, model)
