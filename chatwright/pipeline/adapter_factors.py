"""Read an adapter for a base that is being served."""

from dataclasses import dataclass
from pathlib import Path

from chatwright.checkpoint import adapter_directory, adapter_layout, directory, model_directory
from chatwright.checkpoint.adapter_file import WEIGHTS
from chatwright.checkpoint.adapter_weights import require_fit
from chatwright.checkpoint.config_file import public_config
from chatwright.errors import InputError
from chatwright.model.gpt import GPT
from chatwright.model.loaded_adapters import AdapterFactors


@dataclass(frozen=True)
class ServableAdapter:
    """An adapter that fits the served model."""

    factors: dict[str, AdapterFactors]
    """The matrices, by the name of the layer."""
    weights: str
    """SHA-256 of the adapter's weights."""


def read_adapter(path: Path, model: GPT, base_weights: str) -> ServableAdapter:
    """Read an adapter.

    Args:
        path: The adapter's directory, or a training run.
        model: The served model; its weights are not read.
        base_weights: SHA-256 of its weights.

    Raises:
        InputError: There is no adapter, it belongs to another model, or it holds other weights
            beside its factors.
    """
    found = model_directory.find(path)
    if not adapter_directory.is_adapter(found):
        raise InputError(
            f"{path}: this directory holds a whole model, not an adapter.",
            remedy="Serve it by itself: chatwright serve.",
            field="adapter",
            value=str(path),
        )
    adapter = adapter_directory.read(found)
    base = adapter.base
    actual = base.sha256 or directory.sha256(base.path / "model.safetensors")
    if actual != base_weights:
        raise InputError(
            f"{path}: this adapter was trained on other weights ({actual[:12]}...) than those "
            f"that are served ({base_weights[:12]}...).",
            remedy=f"Serve its base: {base.path}",
            field="adapter",
            value=str(path),
        )
    if adapter.copies or adapter.score is not None or base.changes:
        raise InputError(
            f"{path}: this adapter changes more than linear layers, so it cannot be chosen per "
            "request.",
            remedy="Merge it and serve the result: chatwright merge.",
            field="adapter",
            value=str(path),
        )
    weights = model_directory.layout(model, public_config(model.config)["model_type"])
    layers = adapter_layout.public_layers(model, weights)
    require_fit(model, adapter.factors, layers, found)
    n_out = adapter_layout.linear_rows(model)
    factors = adapter_layout.to_model(adapter.factors, layers, n_out, adapter.layers)
    return ServableAdapter(
        {
            name: AdapterFactors(pair.a.float(), pair.b.float(), pair.alpha / pair.rank)
            for name, pair in factors.items()
        },
        directory.sha256(found / WEIGHTS),
    )
