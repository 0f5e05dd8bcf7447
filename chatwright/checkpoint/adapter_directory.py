"""Save and load an adapter as PEFT does: adapter_config.json and adapter_model.safetensors.

The base is referenced, not copied, so the directory is small. Chatwright adds base.json, which
holds the paths of the base (relative and absolute) and the SHA-256 sum of its weights. base.json
also lists the changed settings of the base and the names of our layers that have an adapter.
Loading rejects a base with another sum. An adapter that PEFT wrote has no base.json, so only the
shapes of its base are checked.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from chatwright.checkpoint import adapter_file, adapter_layout, directory, json_file
from chatwright.checkpoint.adapter_layout import LoRAFactors
from chatwright.checkpoint.family import Weight
from chatwright.checkpoint.model_files import ADAPTER_CONFIG as CONFIG
from chatwright.checkpoint.model_files import is_adapter as is_adapter
from chatwright.errors import InputError
from chatwright.model import lora
from chatwright.model.gpt import GPT
from chatwright.model.model import Model

BASE = "base.json"


@dataclass(frozen=True)
class Base:
    """The model that an adapter changes."""

    path: Path
    sha256: str = ""
    """SHA-256 sum of its model.safetensors; "" if unknown."""
    changes: dict[str, Any] = field(default_factory=dict)
    """Settings that differ from the base's own, such as context_length."""


@dataclass(frozen=True)
class Adapter:
    """The contents of an adapter's directory."""

    base: Base
    factors: dict[str, LoRAFactors]
    """LoRA factors, by the name of their layer in Hugging Face files."""
    copies: dict[str, Tensor]
    """Copies of the base's tensors, by their names in Hugging Face files."""
    layers: tuple[str, ...]
    """Names of our layers that have an adapter; empty if PEFT wrote the directory."""
    dropout: float
    score: Tensor | None = None
    """Weight (1, D) of the scalar head of a reward model; None for other models."""


def write(target: Path, model: Model, base: Base, weights: Iterable[Weight]) -> None:
    """Write the model's adapter into the existing directory `target`.

    `weights` lists the tensors in the base's file.
    """
    weights = list(weights)
    adapted = lora.lora_layers(model)
    layers = adapter_layout.public_layers(model, weights)
    factors = {
        name: LoRAFactors(linear.lora_a.detach(), linear.lora_b.detach(), linear.alpha)
        for name, linear in adapted.items()
    }
    stored = adapter_layout.to_public(factors, layers, adapter_layout.linear_rows(model))
    first = factors[next(iter(factors))]
    score = model.scalar_head.score.weight if isinstance(model, GPT) and model.scalar_head else None
    config = {
        "peft_type": "LORA",
        "task_type": _task_type(model),
        adapter_file.SAVED_MODULES: None if score is None else [adapter_file.SCORE],
        "base_model_name_or_path": str(base.path),
        "r": first.rank,
        "lora_alpha": first.alpha,
        "lora_dropout": next(iter(adapted.values())).dropout.p,
        "bias": "none",
        "fan_in_fan_out": any(weight.transposed for weight in weights),
        "inference_mode": True,
        "target_modules": _target_modules(set(stored), set(layers)),
        "rank_pattern": {
            name: pair.rank for name, pair in stored.items() if pair.rank != first.rank
        },
        "alpha_pattern": {
            name: pair.alpha for name, pair in stored.items() if pair.alpha != first.alpha
        },
    }
    adapter_file.write(target, config, stored, score)
    reference = {
        "path": str(base.path),
        "from_here": directory.relative_path(base.path, target),
        "sha256": base.sha256,
        "changes": base.changes,
        "layers": sorted(adapted),
    }
    (target / BASE).write_text(json.dumps(reference, indent=1), encoding="utf-8")


def _task_type(model: Model) -> str | None:
    """Return PEFT's name of the task, which decides the head that it puts on the base."""
    if not isinstance(model, GPT):
        return None
    return "CAUSAL_LM" if model.scalar_head is None else "SEQ_CLS"


def _target_modules(adapted: set[str], layers: set[str]) -> list[str]:
    """Return PEFT's target_modules, which select the layers `adapted` out of `layers`.

    These are the last parts of the names, or whole names if the last parts select other layers too.
    """
    ends = {name.split(".")[-1] for name in adapted}
    selected = {name for name in layers if name.split(".")[-1] in ends}
    return sorted(ends if selected == adapted else adapted)


def read(path: Path) -> Adapter:
    """Read an adapter's directory.

    Raises:
        InputError: A setting is not supported, a file is damaged, or the base is missing.
    """
    config = adapter_file.read_config(path)
    reference = json_file.read_object(path / BASE) if (path / BASE).is_file() else {}
    factors, copies = adapter_file.read_tensors(path, config)
    score = (
        copies.pop(f"{adapter_file.SCORE}.weight", None)
        if config.get(adapter_file.SAVED_MODULES)
        else None
    )
    return Adapter(
        _find_base(path, config, reference),
        factors,
        copies,
        tuple(map(str, reference.get("layers", ()))),
        adapter_file.number(path, config, "lora_dropout", 0.0),
        score,
    )


def _find_base(path: Path, config: Mapping[str, Any], reference: Mapping[str, Any]) -> Base:
    absolute = Path(str(reference.get("path") or config.get("base_model_name_or_path")))
    candidates = [absolute]
    if "from_here" in reference:
        candidates.insert(0, path / str(reference["from_here"]))
    for candidate in candidates:
        if (candidate / "config.json").is_file() and not is_adapter(candidate):
            sha256 = str(reference.get("sha256", ""))
            return Base(candidate.resolve(), sha256, dict(reference.get("changes", {})))
    setting = f'"path" of {path / BASE}'
    if not reference:
        setting = f'"base_model_name_or_path" of {path / CONFIG}'
    raise InputError(
        f"{path}: this is an adapter, and its base is not at {absolute}.",
        remedy=f"Put the base at that path, or write the base's path into {setting}.",
        field="base",
        value=str(absolute),
    )


def check_base(path: Path, base: Base) -> None:
    """Reject a base with other weights than the one that the adapter was trained on."""
    if not base.sha256:
        return
    actual = directory.sha256(base.path / "model.safetensors")
    if actual != base.sha256:
        raise InputError(
            f"{path}: this adapter was trained on other weights than those at {base.path} "
            f"(SHA-256 {base.sha256[:12]}…, but the file has {actual[:12]}…).",
            remedy="Put the original base at that path, or train the adapter again.",
            field="base",
            value=actual,
        )
