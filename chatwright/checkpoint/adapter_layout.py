"""An adapter's products under PEFT's names: one A and one B for every linear layer of the public layout.

Where that layout keeps several of our layers as one matrix (GPT-2's query, key and value), their products become one of the summed rank:
A's below each other, B's on the diagonal. That says the same to the last bit. A fused product that PEFT made has no such blocks; then each of
our layers takes all of A and its own rows of B.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chatwright.checkpoint.family import Weight

PREFIX = "base_model.model."  # PEFT's wrapper puts this before every name of the model it wraps


@dataclass(frozen=True)
class Product:
    """alpha / rank x B A"""

    a: Tensor  # (rank, in)
    b: Tensor  # (out, rank)
    alpha: float

    @property
    def rank(self) -> int:
        return len(self.a)


def public_layers(weights: Iterable[Weight], ours: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Name in the public layout -> our linear layers that are its rows."""
    wanted = {f"{name}.weight" for name in ours}
    return {
        w.theirs.removesuffix(".weight"): tuple(name.removesuffix(".weight") for name in w.ours)
        for w in weights
        if wanted & set(w.ours)
    }


def to_public(
    products: Mapping[str, Product], layers: Mapping[str, tuple[str, ...]], n_out: Mapping[str, int]
) -> dict[str, Product]:
    """Our products -> the public layout's; `n_out` says how many rows each of our layers has."""
    made = {}
    for theirs, parts in layers.items():
        if chosen := [name for name in parts if name in products]:
            made[theirs] = (
                products[parts[0]] if len(parts) == 1 else _joined(products, parts, chosen, n_out)
            )
    return made


def _joined(
    products: Mapping[str, Product],
    parts: Sequence[str],
    chosen: Sequence[str],
    n_out: Mapping[str, int],
) -> Product:
    a = torch.cat([products[name].a for name in chosen])
    b = a.new_zeros(sum(n_out[name] for name in parts), len(a))
    for rows, columns, name in _blocks(b, parts, chosen, n_out):
        b[rows, columns] = products[name].b
    return Product(a, b, products[chosen[0]].alpha * len(chosen))


def to_model_tensors(
    products: Mapping[str, Product],
    layers: Mapping[str, tuple[str, ...]],
    n_out: Mapping[str, int],
    written: Iterable[str],
) -> dict[str, Product]:
    """The public layout's products -> ours; `written` are the layers that we wrote products of, empty where somebody else did."""
    made = {}
    for theirs, product in products.items():
        parts = layers[theirs]
        chosen = [name for name in parts if name in set(written)]
        if len(parts) == 1:
            made[parts[0]] = product
        elif (
            chosen
            and product.rank % len(chosen) == 0
            and _has_only_blocks(product.b, parts, chosen, n_out)
        ):
            blocks = list(_blocks(product.b, parts, chosen, n_out))
            made |= {
                name: Product(
                    product.a[columns], product.b[rows, columns], product.alpha / len(chosen)
                )
                for rows, columns, name in blocks
            }
        else:
            rows = product.b.split([n_out[name] for name in parts])
            made |= {
                name: Product(product.a, own, product.alpha)
                for name, own in zip(parts, rows, strict=True)
            }
    return made


def _blocks(
    b: Tensor, parts: Sequence[str], chosen: Sequence[str], n_out: Mapping[str, int]
) -> Iterable[tuple[slice, slice, str]]:
    """(rows, columns, layer) of each block on the diagonal."""
    rank, row = b.shape[1] // len(chosen), 0
    for name in parts:
        if name in chosen:
            column = rank * chosen.index(name)
            yield slice(row, row + n_out[name]), slice(column, column + rank), name
        row += n_out[name]


def _has_only_blocks(
    b: Tensor, parts: Sequence[str], chosen: Sequence[str], n_out: Mapping[str, int]
) -> bool:
    rest = b.clone()
    for rows, columns, _ in _blocks(b, parts, chosen, n_out):
        rest[rows, columns] = 0
    return not rest.any()
