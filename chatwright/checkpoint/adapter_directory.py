"""An adapter in a directory, as PEFT has it: adapter_config.json and adapter_model.safetensors, beside the tokenizer. Small: the base is named,
not copied.

base.json is ours: where the base lies (from here and absolutely), the SHA-256 of its weights, which of its settings were changed, and which of
our layers have a product. A base that has other weights is refused; an adapter that PEFT made has no such file, so only the shapes can be held
against its base.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chatwright.checkpoint import adapter_layout, directory, json_file, safetensors_file
from chatwright.checkpoint.adapter_layout import PREFIX, Product
from chatwright.checkpoint.family import Weight
from chatwright.model import lora
from chatwright.model.gpt import GPT
from chatwright.model.linear import Linear
from chatwright.model.model import Model

CONFIG, WEIGHTS, BASE = "adapter_config.json", "adapter_model.safetensors", "base.json"
# What PEFT can write that says nothing about the result; the tensors themselves say which layers they belong to.
INDIFFERENT = {
    "alora_invocation_tokens",
    "alpha_pattern",
    "auto_mapping",
    "base_model_name_or_path",
    "ensure_weight_tying",
    "exclude_modules",
    "fan_in_fan_out",
    "inference_mode",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "lora_dropout",
    "megatron_core",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "r",
    "rank_pattern",
    "revision",
    "runtime_config",
    "target_modules",
    "task_type",
}


@dataclass(frozen=True)
class Base:
    """The model an adapter stands on."""

    path: Path
    sha256: str = ""  # of its model.safetensors; "" where nobody wrote it down
    changes: dict[str, Any] = field(
        default_factory=dict
    )  # settings that differ from the base's own, such as context_length


@dataclass(frozen=True)
class Adapter:
    base: Base
    products: dict[str, Product]  # by their names in the public layout
    layers: tuple[str, ...]  # ours that have a product; empty where PEFT wrote it
    dropout: float


def is_adapter(path: Path) -> bool:
    return (path / CONFIG).is_file()


def write(building: Path, model: Model, base: Base, weights: Iterable[Weight]) -> None:
    """Config, products and base of the model's adapter. `weights` is the layout of the base."""
    adapted, layers, weights = (
        lora.lora_layers(model),
        _public_layers(model, weights),
        list(weights),
    )
    products = {
        name: Product(linear.lora_a.detach(), linear.lora_b.detach(), linear.alpha)
        for name, linear in adapted.items()
    }
    public = adapter_layout.to_public(products, layers, _n_out(model))
    safetensors_file.save(
        {
            f"{PREFIX}{name}.lora_{factor}.weight": tensor
            for name, product in public.items()
            for factor, tensor in (("A", product.a), ("B", product.b))
        },
        building / WEIGHTS,
    )
    first = products[next(iter(products))]
    table = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM" if isinstance(model, GPT) else None,
        "base_model_name_or_path": str(base.path),
        "r": first.rank,
        "lora_alpha": first.alpha,
        "lora_dropout": next(iter(adapted.values())).dropout.p,
        "bias": "none",
        "fan_in_fan_out": any(w.transposed for w in weights),
        "inference_mode": True,
        "target_modules": _target_modules(set(public), set(layers)),
        "rank_pattern": {
            name: product.rank for name, product in public.items() if product.rank != first.rank
        },
        "alpha_pattern": {
            name: product.alpha for name, product in public.items() if product.alpha != first.alpha
        },
    }
    (building / CONFIG).write_text(json.dumps(table, indent=1), encoding="utf-8")
    # A folder that holds base and adapter can be moved: the way from here is tried before the absolute one.
    written = {
        "path": str(base.path),
        "from_here": os.path.relpath(base.path, building.resolve()),
        "sha256": base.sha256,
        "changes": base.changes,
        "layers": sorted(adapted),
    }
    (building / BASE).write_text(json.dumps(written, indent=1), encoding="utf-8")


def _public_layers(model: Model, weights: Iterable[Weight]) -> dict[str, tuple[str, ...]]:
    return adapter_layout.public_layers(weights, _n_out(model))


def _n_out(model: Model) -> dict[str, int]:
    return {name: linear.weight.shape[0] for name, linear in _linears(model).items()}


def _linears(model: Model) -> dict[str, Linear]:
    return {name: module for name, module in model.named_modules() if isinstance(module, Linear)}


def _target_modules(chosen: set[str], every: set[str]) -> list[str]:
    """Last parts of names where these choose exactly the same layers, as people write them; whole names otherwise."""
    ends = {name.split(".")[-1] for name in chosen}
    return sorted(
        ends if {name for name in every if name.split(".")[-1] in ends} == chosen else chosen
    )


def read(path: Path) -> Adapter:
    """What the directory holds. Raises ValueError naming the setting that is not understood, or the base that is not there."""
    table = json_file.read_object(path / CONFIG)
    if table.get("peft_type") != "LORA":
        raise ValueError(
            f'{path / CONFIG}: peft_type = {table.get("peft_type")!r}. Only LoRA adapters ("LORA") can be opened here.'
        )
    for key, value in table.items():
        if key not in INDIFFERENT and value not in (None, False, "none", {}, []):
            raise ValueError(
                f"{path / CONFIG}: {key} = {value!r} is not understood here, and opening the adapter without it would change what it "
                "says. Merge it into its base with the tool that made it, then import the result."
            )
    ours = json_file.read_object(path / BASE) if (path / BASE).is_file() else {}
    products = _products(path, table, safetensors_file.load(path / WEIGHTS))
    return Adapter(
        _base(path, table, ours),
        products,
        tuple(map(str, ours.get("layers", ()))),
        _number(path, table, "lora_dropout", 0.0),
    )


def _products(
    path: Path, table: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> dict[str, Product]:
    names = {
        key.removeprefix(PREFIX)
        .removesuffix(".weight")
        .removesuffix(".lora_A")
        .removesuffix(".lora_B")
        for key in tensors
    }
    expected = {f"{PREFIX}{name}.lora_{factor}.weight" for name in names for factor in "AB"}
    if odd := sorted(expected ^ tensors.keys()):
        raise ValueError(
            f"{path / WEIGHTS}: {odd[0]} is missing, or no part of a LoRA product ({len(odd)} such tensors). Get the adapter again "
            "from where it came."
        )
    alphas = _alphas(path, table, names)
    products = {
        name: Product(
            tensors[f"{PREFIX}{name}.lora_A.weight"],
            tensors[f"{PREFIX}{name}.lora_B.weight"],
            alphas[name],
        )
        for name in sorted(names)
    }
    for name, product in products.items():
        if (
            product.a.ndim != 2
            or product.b.ndim != 2
            or product.rank != product.b.shape[1]
            or product.rank == 0
        ):
            raise ValueError(
                f"{path / WEIGHTS}: the factors of {name} have the shapes {tuple(product.a.shape)} and {tuple(product.b.shape)}, which "
                "make no product. Get the adapter again from where it came."
            )
    return products


def _alphas(path: Path, table: Mapping[str, Any], names: set[str]) -> dict[str, float]:
    """PEFT takes the keys of alpha_pattern for regular expressions; only those that are the end of a name are understood here."""
    found = dict.fromkeys(names, _number(path, table, "lora_alpha"))
    patterns = table.get("alpha_pattern") or {}
    for pattern in patterns:
        meant = [name for name in names if name == pattern or name.endswith("." + pattern)]
        if not meant:
            raise ValueError(
                f"{path / CONFIG}: alpha_pattern names {pattern!r}, which is no end of a layer's name. Merge the adapter into its base "
                "with the tool that made it, then import the result."
            )
        found |= dict.fromkeys(meant, _number(path, patterns, pattern))
    return found


def _number(path: Path, table: Mapping[str, Any], key: str, default: float | None = None) -> float:
    value = table.get(key, default)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1e6:
        raise ValueError(
            f"{path / CONFIG}: {key} = {value!r} is no number from 0 to a million. Get the adapter again from where it came."
        )
    return float(value)


def _base(path: Path, table: Mapping[str, Any], ours: Mapping[str, Any]) -> Base:
    places = [path / str(ours["from_here"])] if "from_here" in ours else []
    places += [Path(str(ours.get("path") or table.get("base_model_name_or_path")))]
    place = next(
        (place for place in places if (place / "config.json").is_file() and not is_adapter(place)),
        None,
    )
    if place is None:
        raise ValueError(
            f"{path}: this is an adapter, and its base, a whole model, is not at {places[-1]}. Put the base back there, or write "
            f'where it is into "path" of {path / BASE if ours else str(path / CONFIG) + " (base_model_name_or_path)"}.'
        )
    return Base(place.resolve(), str(ours.get("sha256", "")), dict(ours.get("changes", {})))


def check_base(path: Path, base: Base) -> None:
    """Refuse a base whose weights are not those the adapter was trained on."""
    found = directory.sha256(base.path / "model.safetensors") if base.sha256 else ""
    if found != base.sha256:
        raise ValueError(
            f"{path}: this adapter was trained on other weights than those at {base.path} (SHA-256 {base.sha256[:12]}…, found "
            f"{found[:12]}…). Put the base it was trained on there, or train the adapter anew."
        )


def attach(model: Model, adapter: Adapter, weights: Iterable[Weight], source: Path) -> None:
    """Put the adapter's products beside the layers of its base; what does not fit is refused by name."""
    layers = _public_layers(model, weights)
    if unknown := sorted(adapter.products.keys() - layers.keys()):
        raise ValueError(
            f"{source}: {unknown[0]} is no linear layer of its base ({len(unknown)} such layers in all). "
            "The adapter was made for another model."
        )
    products = adapter_layout.to_model_tensors(
        _fitting(adapter, layers, model, source), layers, _n_out(model), adapter.layers
    )
    lora.insert_layers(
        model,
        {name: (product.rank, product.alpha) for name, product in products.items()},
        adapter.dropout,
    )
    _copy(model, products)


def _fitting(
    adapter: Adapter, layers: Mapping[str, tuple[str, ...]], model: Model, source: Path
) -> dict[str, Product]:
    linears = _linears(model)
    for name, product in adapter.products.items():
        n_out, n_in = (
            sum(len(linears[part].weight) for part in layers[name]),
            linears[layers[name][0]].weight.shape[1],
        )
        if (len(product.b), product.a.shape[1]) != (n_out, n_in):
            raise ValueError(
                f"{source}: the product for {name} is a matrix of {len(product.b)} x {product.a.shape[1]}, its base has one of "
                f"{n_out} x {n_in}. The adapter was made for another model."
            )
    return adapter.products


def restore(model: Model, path: Path, weights: Iterable[Weight]) -> None:
    """Copy the products at `path` into a model that has an adapter of the very same layers and ranks: a run's own checkpoint."""
    adapter = read(path)
    products = adapter_layout.to_model_tensors(
        adapter.products, _public_layers(model, weights), _n_out(model), adapter.layers
    )
    shapes = {
        name: (linear.lora_a.shape, linear.lora_b.shape)
        for name, linear in lora.lora_layers(model).items()
    }
    if shapes != {name: (product.a.shape, product.b.shape) for name, product in products.items()}:
        raise ValueError(
            f"{path}: holds an adapter of other layers or another rank, so the run cannot go on from there. Give another --out folder."
        )
    _copy(model, products)


@torch.no_grad()
def _copy(model: Model, products: Mapping[str, Product]) -> None:
    for name, linear in lora.lora_layers(model).items():
        linear.lora_a.copy_(products[name].a)
        linear.lora_b.copy_(products[name].b)
