"""A family of public models: how its config.json and its tensors say what ours say.

Each family is one file in `families/`. Import reads with `from_public` and `weights`, saving writes with `to_public` and `weights`, so
one table serves both ways.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.model import ModelConfig


@dataclass(frozen=True)
class Weight:
    """One tensor of a public file. Several of ours are its rows, one after another: a fused query, key and value."""

    ours: tuple[str, ...]
    theirs: str
    transposed: bool = False  # GPT-1 and GPT-2 keep their matrices so
    is_row: bool = False  # a vector that the file keeps as a table of one row: MarianMT's bias

    @property
    def is_plain(self) -> bool:
        """Whether the numbers stand in the file as they stand in ours."""
        return not self.transposed and not self.is_row


@dataclass(frozen=True)
class Family:
    name: str  # `model_type` in config.json
    architectures: tuple[str, ...]  # class names in config.json that we read; the first is written
    expresses: Callable[[Any], bool]  # whether a config of ours has a place in this layout
    to_public: Callable[
        [Any], dict[str, Any]
    ]  # our config -> config.json, but for what every family writes alike
    from_public: Callable[
        [PublicConfig], ModelConfig
    ]  # ValueError names a field that cannot be honoured
    weights: Callable[[Any], list[Weight]]
    prefix: str = ""  # of their names; some files leave it out
    ids: Callable[[Any, Mapping[str, int]], dict[str, int]] = (
        lambda *_: {}
    )  # further fields for token ids: (our config, the tokenizer's)
    ignored: tuple[str, ...] = ()  # endings of names that are no weights (buffers), in older files


def to_public_tensors(weights: Iterable[Weight], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by public name, out of tensors by our name."""
    made = {}
    for weight in weights:
        rows = (
            ours[weight.ours[0]]
            if len(weight.ours) == 1
            else torch.cat([ours[name] for name in weight.ours])
        )
        made[weight.theirs] = rows[None] if weight.is_row else rows.T if weight.transposed else rows
    return made


def to_model_tensors(
    weights: Iterable[Weight], theirs: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    """Tensors by our name, as views of those by public name wherever possible. The shapes must have been compared before."""
    made: dict[str, Tensor] = {}
    for weight in weights:
        whole = theirs[weight.theirs]
        whole = whole[0] if weight.is_row else whole.T if weight.transposed else whole
        made.update(
            zip(weight.ours, whole.split([shapes[name][0] for name in weight.ours]), strict=True)
        )
    return made


def public_shapes(
    weights: Iterable[Weight], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    """What a public file must hold, given the shapes of our own tensors."""
    made = {}
    for weight in weights:
        first = shapes[weight.ours[0]]
        shape = (sum(shapes[name][0] for name in weight.ours), *first[1:])
        made[weight.theirs] = (
            (1, *shape) if weight.is_row else shape[::-1] if weight.transposed else shape
        )
    return made
