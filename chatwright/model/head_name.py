"""The name of an attention head, and the check that a model has it. Without torch."""

from collections.abc import Iterable
from typing import NamedTuple

from chatwright.errors import InputError


class Head(NamedTuple):
    """An attention head, by its layer and its number in the layer, both from 0."""

    layer: int
    number: int


def require_heads(heads: Iterable[tuple[int, int]], n_layer: int, n_head: int) -> None:
    """Raise InputError if a model with `n_layer` layers of `n_head` heads lacks one of these."""
    for layer, number in heads:
        if not (0 <= layer < n_layer and 0 <= number < n_head):
            raise InputError(
                f"head {layer}.{number} does not exist: the model has layers 0 to {n_layer - 1} "
                f"with heads 0 to {n_head - 1}.",
                remedy="Name a head as LAYER.HEAD, for example 0.1.",
                field="heads_off",
                value=f"{layer}.{number}",
            )
