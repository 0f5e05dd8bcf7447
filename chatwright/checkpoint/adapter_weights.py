"""Put an adapter's LoRA factors into a model, after checking that they fit."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from chatwright.checkpoint import adapter_layout
from chatwright.checkpoint.adapter_directory import Adapter
from chatwright.checkpoint.adapter_layout import LoRAFactors
from chatwright.checkpoint.family import Weight, to_public_tensors
from chatwright.errors import InputError
from chatwright.model import lora
from chatwright.model.gpt import GPT
from chatwright.model.model import Model

OTHER_MODEL = "The adapter was made for another model; give the base it was trained on."


def attach(model: Model, adapter: Adapter, weights: Iterable[Weight], source: Path) -> None:
    """Add the adapter to the layers of its base.

    Args:
        model: The base, which is changed in place.
        adapter: The result of `adapter_directory.read`.
        weights: The tensors in the base's file.
        source: The adapter's directory, for errors.

    Raises:
        InputError: The adapter does not fit the model.
    """
    weights = list(weights)
    layers = adapter_layout.public_layers(model, weights)
    n_out = adapter_layout.linear_rows(model)
    require_fit(model, adapter.factors, layers, source)
    _require_copies_of_base(model, adapter.copies, weights, source)
    factors = adapter_layout.to_model(adapter.factors, layers, n_out, adapter.layers)
    ranks = {name: (pair.rank, pair.alpha) for name, pair in factors.items()}
    lora.insert_layers(model, ranks, adapter.dropout)
    _copy(model, factors)
    _copy_score(model, adapter, source)


def require_fit(
    model: Model,
    factors: Mapping[str, LoRAFactors],
    layers: Mapping[str, tuple[str, ...]],
    source: Path,
) -> None:
    """Raise InputError if the factors do not fit the layers of the model."""
    linears = adapter_layout.linear_layers(model)
    for name, pair in factors.items():
        if name not in layers:
            raise InputError(
                f"{source}: its base has no linear layer {name}.",
                remedy=OTHER_MODEL,
                field=name,
            )
        parts = [linears[part] for part in layers[name]]
        needed = sum(len(part.weight) for part in parts), parts[0].weight.shape[1]
        actual = len(pair.b), pair.a.shape[1]
        if actual != needed:
            raise InputError(
                f"{source}: the update of {name} has the shape {actual}, but the layer of its "
                f"base has the shape {needed}.",
                remedy=OTHER_MODEL,
                field=name,
                value=actual,
            )


def _require_copies_of_base(
    model: Model, copies: Mapping[str, Tensor], weights: list[Weight], source: Path
) -> None:
    """Reject copies of the base's tensors that differ from the base.

    PEFT stores the embedding and the output head if the adapter targets one of them. Copies that
    differ were trained, or belong to a resized vocabulary.
    """
    by_name = {
        weight.public_name: weight for weight in adapter_layout.with_tied_head(model, weights)
    }
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for name, copy in copies.items():
        if name not in by_name:
            raise InputError(
                f"{source}: its base has no tensor {name}.", remedy=OTHER_MODEL, field=name
            )
        [original] = to_public_tensors([by_name[name]], parameters).values()
        is_equal = original.shape == copy.shape and torch.equal(
            original.detach().to(copy.dtype), copy
        )
        if not is_equal:
            raise InputError(
                f"{source}: it stores a tensor {name} that differs from its base, so weights "
                "other than LoRA factors were trained.",
                remedy="Merge it into its base with the tool that made it, then import the result.",
                field=name,
                value=tuple(copy.shape),
            )


def restore(model: Model, adapter: Adapter, weights: Iterable[Weight], source: Path) -> None:
    """Copy the factors into a model that already has an adapter of the same layers and ranks."""
    layers = adapter_layout.public_layers(model, weights)
    n_out = adapter_layout.linear_rows(model)
    factors = adapter_layout.to_model(adapter.factors, layers, n_out, adapter.layers)
    expected = {
        name: (linear.lora_a.shape, linear.lora_b.shape)
        for name, linear in lora.lora_layers(model).items()
    }
    if expected != {name: (pair.a.shape, pair.b.shape) for name, pair in factors.items()}:
        raise InputError(
            f"{source}: holds an adapter with other layers or another rank, so the run cannot be "
            "resumed from it.",
            remedy="Choose another folder with --out.",
            field="out",
            value=str(source),
        )
    _copy(model, factors)
    _copy_score(model, adapter, source)


@torch.no_grad()
def _copy(model: Model, factors: Mapping[str, LoRAFactors]) -> None:
    for name, linear in lora.lora_layers(model).items():
        linear.lora_a.copy_(factors[name].a)
        linear.lora_b.copy_(factors[name].b)


@torch.no_grad()
def _copy_score(model: Model, adapter: Adapter, source: Path) -> None:
    """Copy the weight of a reward model's scalar head, if the adapter stores one."""
    if adapter.score is None:
        return
    assert isinstance(model, GPT), "only decoders have an adapter with a score"
    assert model.scalar_head is not None, "the head is put on before the adapter"
    weight = model.scalar_head.score.weight
    if adapter.score.shape != weight.shape:
        raise InputError(
            f"{source}: its score has the shape {tuple(adapter.score.shape)}, but the model needs "
            f"{tuple(weight.shape)}.",
            remedy=OTHER_MODEL,
            field="score.weight",
            value=tuple(adapter.score.shape),
        )
    weight.copy_(adapter.score)
