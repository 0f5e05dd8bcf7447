"""Apply LoRA products to single rows of a batch: each reply may have an adapter of its own.

    y = x W^T + (alpha / rank) x A^T B^T        for the rows of an adapter (Hu et al. 2021, eq. 3)
    y = x W^T                                   for the other rows

The engine says before each forward pass which rows use which adapter. The weight is shared by all
rows, so ten adapters take little more memory than one model. The bits of a row do not depend on the
other rows, nor on which adapters are loaded.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from chatwright.model.packed_weight import FLOAT32, FusedActivation, PackedWeight, activate_rows

Group = tuple[str, Tensor | None]
"""Name of an adapter, or "", and its rows of the batch; None means all rows."""


class BatchRows:
    """Which rows of the current batch use which adapter. All layers of a model share one object."""

    def __init__(self) -> None:
        """Start without adapters."""
        self.groups: list[Group] = []

    @contextmanager
    def used(self, names: Sequence[str]) -> Iterator[None]:
        """Let the rows of the batch use these adapters inside the block, "" for none.

        One name, or the same one for all rows, holds for a batch of any size.
        """
        self._assign(names)
        try:
            yield
        finally:
            self.groups = []

    def _assign(self, names: Sequence[str]) -> None:
        distinct = sorted(set(names))
        if distinct == [""]:
            self.groups = []
        elif len(distinct) == 1:
            self.groups = [(distinct[0], None)]
        else:
            self.groups = [
                (name, torch.tensor([row for row, used in enumerate(names) if used == name]))
                for name in distinct
            ]


@dataclass(frozen=True)
class PackedFactors:
    """The two matrices of one adapter for one layer, packed for inference."""

    a: PackedWeight
    """(rank, in)."""
    b: PackedWeight
    """(out, rank)."""
    scale: float
    """alpha / rank."""
    first: int
    """Where the layer's outputs begin in those of the product, if layers are packed as one."""
    n_out: int

    @classmethod
    def pack(cls, a: Tensor, b: Tensor, scale: float, first: int = 0) -> "PackedFactors":
        """Pack the matrices of a layer."""
        packed = FLOAT32.pack(a.contiguous()), FLOAT32.pack(b.contiguous())
        return cls(*packed, scale, first, len(b))

    def add_to(self, out: Tensor, x: Tensor) -> None:
        """Add the product of rows x (N, in) to the layer's outputs in out (N, out)."""
        low_rank = self.a.matmul(x, None, "none")
        product = self.b.matmul(low_rank, None, "none")
        out[:, self.first : self.first + self.n_out] += product * self.scale


class RowAdapters:
    """The adapters of one product with a packed weight."""

    def __init__(self, rows: BatchRows) -> None:
        """Follow the assignment of `rows`."""
        self.rows = rows
        self.factors: dict[str, list[PackedFactors]] = {}

    def apply(
        self,
        x: Tensor,
        base: Callable[[Tensor, FusedActivation], Tensor],
        activation: FusedActivation,
    ) -> Tensor:
        """Compute the product of all rows. (B, ..., in) -> (B, ..., out).

        Args:
            x: (B, ..., in); row i belongs to the reply in row i of the batch.
            base: Computes activation(x W^T + bias).
            activation: Applied to the sum of both products.
        """
        out: Tensor | None = None
        for name, rows in self.rows.groups:
            part = self._part(x if rows is None else x[rows], name, base, activation)
            if rows is None:
                return part
            if out is None:
                out = part.new_empty(*x.shape[:-1], part.shape[-1])
            out[rows] = part
        assert out is not None, "apply is called only if some rows have an adapter"
        return out

    def _part(
        self,
        x: Tensor,
        name: str,
        base: Callable[[Tensor, FusedActivation], Tensor],
        activation: FusedActivation,
    ) -> Tensor:
        factors = self.factors.get(name)
        if not factors:
            return base(x, activation)
        flat = x.reshape(-1, x.shape[-1])
        out = base(x, "none").reshape(len(flat), -1)
        for one in factors:
            one.add_to(out, flat)
        return activate_rows(out, activation).view(*x.shape[:-1], -1)
