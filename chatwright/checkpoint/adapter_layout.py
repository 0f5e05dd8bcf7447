"""Convert LoRA factors of our layers to factors of the layers in Hugging Face files, and back.

Such a file may store several of our layers as one fused matrix, as GPT-2 does with query, key and
value. The factors of these layers become one pair, whose rank is the sum of theirs: the A matrices
are stacked, and the B matrices form the blocks of a block-diagonal matrix. Converting back returns
the same factors.

PEFT's own factors of a fused matrix have no such blocks. Each of our layers then gets the whole A
and its own rows of B.

Names and functions with "public" refer to the layers in Hugging Face files.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chatwright.checkpoint.family import Weight
from chatwright.model.gpt import GPT
from chatwright.model.linear import Linear
from chatwright.model.model import Model


@dataclass(frozen=True)
class LoRAFactors:
    """The factors of a low-rank update, alpha / rank x B A (Hu et al. 2021, eq. 3)."""

    a: Tensor
    """(rank, in)"""
    b: Tensor
    """(out, rank)"""
    alpha: float

    @property
    def rank(self) -> int:
        """The number of rows of A."""
        return len(self.a)


def public_layers(model: Model, weights: Iterable[Weight]) -> dict[str, tuple[str, ...]]:
    """Map each linear layer of the file to our layers, which form its rows in this order."""
    wanted = {f"{name}.weight" for name in linear_layers(model)}
    return {
        weight.public_name.removesuffix(".weight"): tuple(
            name.removesuffix(".weight") for name in weight.parameters
        )
        for weight in with_tied_head(model, weights)
        if wanted & set(weight.parameters)
    }


def linear_layers(model: Model) -> dict[str, Linear]:
    """Return the linear layers of a model by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, Linear)}


def linear_rows(model: Model) -> dict[str, int]:
    """Return the number of rows (outputs) of each of our linear layers."""
    return {name: len(linear.weight) for name, linear in linear_layers(model).items()}


def with_tied_head(model: Model, weights: Iterable[Weight]) -> list[Weight]:
    """Return `weights` and the tied output head, which a file stores only as the embedding.

    PEFT can add an adapter to a tied head without changing the embedding.
    """
    weights = list(weights)
    if isinstance(model, GPT) and model.head is not None and model.config.tied:
        return [*weights, Weight(("head.weight",), "lm_head.weight")]
    return weights


def to_public(
    factors: Mapping[str, LoRAFactors],
    layers: Mapping[str, tuple[str, ...]],
    n_out: Mapping[str, int],
) -> dict[str, LoRAFactors]:
    """Convert the factors of our layers to those of the file's layers.

    Args:
        factors: The factors of our layers.
        layers: The result of `public_layers`.
        n_out: The result of `linear_rows`.
    """
    public = {}
    for public_name, parts in layers.items():
        adapted = [name for name in parts if name in factors]
        if adapted and len(parts) == 1:
            public[public_name] = factors[parts[0]]
        elif adapted:
            public[public_name] = _fuse(factors, parts, adapted, n_out)
    return public


def _fuse(
    factors: Mapping[str, LoRAFactors],
    parts: Sequence[str],
    adapted: Sequence[str],
    n_out: Mapping[str, int],
) -> LoRAFactors:
    a = torch.cat([factors[name].a for name in adapted])
    b = a.new_zeros(sum(n_out[name] for name in parts), len(a))
    for rows, columns, name in _blocks(b, parts, adapted, n_out):
        b[rows, columns] = factors[name].b
    return LoRAFactors(a, b, factors[adapted[0]].alpha * len(adapted))


def to_model(
    factors: Mapping[str, LoRAFactors],
    layers: Mapping[str, tuple[str, ...]],
    n_out: Mapping[str, int],
    adapted: Iterable[str],
) -> dict[str, LoRAFactors]:
    """Convert the factors of the file's layers to those of our layers.

    Args:
        factors: The factors of the file's layers.
        layers: The result of `public_layers`.
        n_out: The result of `linear_rows`.
        adapted: Our layers that have an adapter; empty if another tool wrote the file.
    """
    ours: dict[str, LoRAFactors] = {}
    for public_name, fused in factors.items():
        parts = layers[public_name]
        names = [name for name in parts if name in set(adapted)]
        if len(parts) == 1:
            ours[parts[0]] = fused
        elif names and _is_block_diagonal(fused.b, parts, names, n_out):
            for rows, columns, name in _blocks(fused.b, parts, names, n_out):
                block = fused.b[rows, columns]
                ours[name] = LoRAFactors(fused.a[columns], block, fused.alpha / len(names))
        else:
            all_rows = fused.b.split([n_out[name] for name in parts])
            for name, rows_of_b in zip(parts, all_rows, strict=True):
                ours[name] = LoRAFactors(fused.a, rows_of_b, fused.alpha)
    return ours


def _blocks(
    b: Tensor, parts: Sequence[str], adapted: Sequence[str], n_out: Mapping[str, int]
) -> Iterator[tuple[slice, slice, str]]:
    """Yield the rows, the columns and the layer of each block on the diagonal of B."""
    rank = b.shape[1] // len(adapted)
    row = 0
    for name in parts:
        if name in adapted:
            column = rank * adapted.index(name)
            yield slice(row, row + n_out[name]), slice(column, column + rank), name
        row += n_out[name]


def _is_block_diagonal(
    b: Tensor, parts: Sequence[str], adapted: Sequence[str], n_out: Mapping[str, int]
) -> bool:
    """Return whether B is zero outside one block of equal rank for each layer of `adapted`."""
    if b.shape[1] % len(adapted):
        return False
    rest = b.clone()
    for rows, columns, _ in _blocks(b, parts, adapted, n_out):
        rest[rows, columns] = 0
    return not rest.any()
