"""Load and unload LoRA adapters of a packed model, while it serves."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from chatwright.model.linear import JoinedLinears, Joining, Linear
from chatwright.model.row_adapters import BatchRows, PackedFactors, RowAdapters


@dataclass(frozen=True)
class AdapterFactors:
    """The matrices of an adapter for one layer: y += scale x A^T B^T."""

    a: Tensor
    """(rank, in)."""
    b: Tensor
    """(out, rank)."""
    scale: float
    """alpha / rank."""


class LoadedAdapters:
    """The adapters of one packed model, by name."""

    def __init__(self, model: nn.Module) -> None:
        """Prepare the packed products of a model for adapters."""
        self.rows = BatchRows()
        self._numbers: dict[str, int] = {}
        self._n_loaded = 0
        self._products = _products(model)

    def __contains__(self, name: str) -> bool:
        """Whether an adapter is loaded."""
        return name in self._numbers

    @property
    def names(self) -> list[str]:
        """Names of the loaded adapters, in the order in which they were loaded."""
        return list(self._numbers)

    def number(self, name: str) -> int:
        """Return how many adapters had been loaded before this one; 0 without an adapter.

        An adapter that is loaded again under the same name has another number.
        """
        return self._numbers.get(name, 0)

    def load(self, name: str, factors: Mapping[str, AdapterFactors]) -> None:
        """Load an adapter under a name that is free. `factors` are by the name of the layer."""
        assert name, 'the name "" means no adapter'
        assert name not in self._numbers, f"{name} is loaded already"
        missing = factors.keys() - self._products.keys()
        assert not missing, f"the model has no layers {sorted(missing)}"
        for layer, one in factors.items():
            product, first = self._products[layer]
            if product.row_adapters is None:
                product.row_adapters = RowAdapters(self.rows)
            packed = PackedFactors.pack(one.a, one.b, one.scale, first)
            product.row_adapters.factors.setdefault(name, []).append(packed)
        self._n_loaded += 1
        self._numbers[name] = self._n_loaded

    def unload(self, name: str) -> None:
        """Remove an adapter from memory. No reply in progress may use it."""
        for product, _ in self._products.values():
            if product.row_adapters is not None:
                product.row_adapters.factors.pop(name, None)
        self._numbers.pop(name, None)


def _products(model: nn.Module) -> dict[str, tuple[Linear | JoinedLinears, int]]:
    """Return the product that computes each linear layer, and its first output there."""
    found: dict[str, tuple[Linear | JoinedLinears, int]] = {}
    names = {id(module): name for name, module in model.named_modules()}
    for name, module in model.named_modules():
        if isinstance(module, Linear):
            found.setdefault(name, (module, 0))
        if isinstance(module, Joining) and module.joined is not None:
            first = 0
            for linear, size in zip(module.joined_layers(), module.joined.sizes, strict=True):
                found[names[id(linear)]] = (module.joined, first)
                first += size
    return found
