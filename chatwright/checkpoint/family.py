"""Map the files of a model family, such as Llama or BERT, to our settings and parameters.

A family is an architecture that transformers knows by a `model_type`. The names of its fields and
tensors in Hugging Face files are called public names. Each family is one module in `families/`.
Importing uses `from_public` and `weights`; saving uses `to_public` and `weights`. One list of
weights therefore serves both directions.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from chatwright.checkpoint.public_config import PublicConfig
from chatwright.model.model import ModelConfig


@dataclass(frozen=True)
class Weight:
    """One tensor of a Hugging Face file, and which of our parameters it holds."""

    parameters: tuple[str, ...]
    """Names of our parameters; several, such as query, key and value, are stacked by rows."""
    public_name: str
    """The tensor's name in the file."""
    transposed: bool = False
    """Whether the file stores the transpose, as GPT-1 and GPT-2 do."""
    is_row: bool = False
    """Whether the file stores a vector (N,) as a matrix (1, N), as MarianMT does with its bias."""
    paired_rows: int = 0
    """Rows of a head whose halves alternate in the file, as GGUF does for some families; or 0."""
    minus_one: bool = False
    """Whether the file stores the values minus 1, as Gemma does with its norms."""

    @property
    def is_stored_directly(self) -> bool:
        """Whether the file holds the elements in the order of our parameters."""
        return not (self.transposed or self.is_row or self.paired_rows or self.minus_one)


@dataclass(frozen=True)
class Family:
    """A model family."""

    name: str
    """`model_type` in config.json."""
    architectures: tuple[str, ...]
    """Class names in config.json that can be read; the first one is written."""
    supports: Callable[[Any], bool]
    """Whether this family's files can hold a model with these settings."""
    to_public: Callable[[Any], dict[str, Any]]
    """Our settings -> the family's own fields of config.json."""
    from_public: Callable[[PublicConfig], ModelConfig]
    """config.json -> our settings. Raises InputError for a value that is not supported."""
    weights: Callable[[Any], list[Weight]]
    """Our settings -> the tensors of the file."""
    prefix: str = ""
    """Beginning of the tensors' names, which some files leave out."""
    extra_ids: Callable[[Any, Mapping[str, int]], dict[str, int]] = lambda *_: {}
    """(our settings, the tokenizer's ids) -> further token ids for config.json."""
    ignored_suffixes: tuple[str, ...] = ()
    """Ends of the names of tensors that a file may hold and the model does not need."""
    ignored_prefixes: tuple[str, ...] = ()
    """Beginnings of such names, for example of a vision model beside the decoder."""
    renamed_prefixes: Mapping[str, str] = field(default_factory=dict)
    """Other beginnings of the tensors' names -> the one in `weights`."""


def to_public_tensors(
    weights: Iterable[Weight], parameters: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the tensors of a Hugging Face file, by public name, from our parameters."""
    tensors = {}
    for weight in weights:
        parts = [parameters[name] for name in weight.parameters]
        stacked = parts[0] if len(parts) == 1 else torch.cat(parts)
        if weight.paired_rows:
            stacked = alternate_halves(stacked, weight.paired_rows)
        if weight.minus_one:
            stacked = stacked - 1
        tensors[weight.public_name] = (
            stacked[None] if weight.is_row else stacked.T if weight.transposed else stacked
        )
    return tensors


def as_parameters(weight: Weight, stored: Tensor) -> Tensor:
    """Return a stored tensor as our parameters, stacked by rows."""
    if weight.paired_rows:
        return separate_halves(stored, weight.paired_rows)
    if weight.minus_one:  # in float32: bfloat16 has too few digits for 1 + a small number
        stored = stored.float() + 1
    return stored[0] if weight.is_row else stored.T if weight.transposed else stored


def alternate_halves(rows: Tensor, n_row: int) -> Tensor:
    """Reorder each `n_row` rows so that their halves alternate: 0, n/2, 1, n/2 + 1, ..."""
    return rows.unflatten(0, (-1, 2, n_row // 2)).transpose(1, 2).reshape(rows.shape)


def separate_halves(rows: Tensor, n_row: int) -> Tensor:
    """Undo `alternate_halves`."""
    return rows.unflatten(0, (-1, n_row // 2, 2)).transpose(1, 2).reshape(rows.shape)


def public_shapes(
    weights: Iterable[Weight], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors in a Hugging Face file, given those of our parameters."""
    public = {}
    for weight in weights:
        n_row = sum(shapes[name][0] for name in weight.parameters)
        shape = (n_row, *shapes[weight.parameters[0]][1:])
        public[weight.public_name] = (
            (1, *shape) if weight.is_row else shape[::-1] if weight.transposed else shape
        )
    return public
