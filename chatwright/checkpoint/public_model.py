"""A model that another tool wrote: its config.json and safetensors read into a model of ours, or refused by name.

Nothing in the directory is run: no pickle, no code, no template. What is there and not used is told.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from chatwright.checkpoint import (
    architectures,
    families,
    json_file,
    model_directory,
    stored_weights,
)
from chatwright.checkpoint.family import Family, Weight, public_shapes
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.checkpoint.safetensors_file import Entry
from chatwright.model.gpt_config import GPTConfig
from chatwright.model.model import Model, ModelConfig


@dataclass(frozen=True)
class PublicModel:
    family: Family
    model: Model  # float32, eval mode
    unused: list[str]  # fields and tensors that are there and say nothing to us, by name


def read(path: Path, context_length: int | None = None) -> PublicModel:
    """`context_length` is a shorter one than the model's."""
    table = PublicConfig(json_file.read_object(path / "config.json"), str(path / "config.json"))
    family = family_of(table)
    config = family.from_public(table)
    if context_length is not None:
        config = shortened(config, context_length, path)
    entries = stored_weights.find_tensors(path)
    model = model_directory.build(architectures.for_config(config).model, config)
    weights = family.weights(config)
    named, unused = match_names(
        entries, public_shapes(weights, stored_weights.parameter_shapes(model)), family
    )
    require_numbers(named, path)
    stored_weights.load_into(model, weights, named, path)
    require_finite(model, weights, path)
    return PublicModel(family, model.eval(), [*table.unread(), *unused])


def shortened(config: ModelConfig, context_length: int, path: Path) -> ModelConfig:
    """The same model for shorter texts. Only a decoder with rotary positions has none that would be cut off."""
    if (
        not isinstance(config, GPTConfig)
        or config.position != "rotary"
        or not 1 <= context_length <= config.context_length
    ):
        raise ValueError(
            f"--context-length {context_length}: {path} reads {config.context_length} tokens, and only decoders with rotary positions "
            "can be told to read fewer. Leave the option out."
        )
    return dataclasses.replace(config, context_length=context_length)


def family_of(table: PublicConfig) -> Family:
    model_type, written = table["model_type"], table.get("architectures", [])
    family = families.by_name(model_type) if isinstance(model_type, str) else None
    if family is None:
        raise table.refused(
            "model_type",
            f"the families read here are {', '.join(f.name for f in families.FAMILIES)}",
        )
    if written and not (
        isinstance(written, list) and set(map(str, written)) & set(family.architectures)
    ):
        raise table.refused(
            "architectures", f"of {family.name}, {' or '.join(family.architectures)} is read here"
        )
    if table.get("quantization_config") is not None:
        raise table.refused(
            "quantization_config",
            "quantized weights are not read; take the model they were made from",
        )
    return family


def match_names(
    tensors: Mapping[str, Entry], expected: Mapping[str, tuple[int, ...]], family: Family
) -> tuple[dict[str, Entry], list[str]]:
    """Tensors by the names that `family` gives them, and the names of those which are no weights of this model."""
    named: dict[str, Entry] = {}
    unused = []
    for name, tensor in tensors.items():
        # The oldest files, converted from TensorFlow, name what a norm multiplies and adds by Greek letters.
        full = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace(
            "LayerNorm.beta", "LayerNorm.bias"
        )
        if full not in expected and family.prefix + full in expected:
            full = family.prefix + full
        # A tied head is the embedding, which stands under its own name.
        if full not in expected and (full.endswith(family.ignored) or full == "lm_head.weight"):
            unused.append(name)
        else:
            named[full] = tensor
    return named, sorted(unused)


def require_numbers(tensors: Mapping[str, Entry], path: Path) -> None:
    for name, entry in tensors.items():
        if not entry.dtype.is_floating_point:
            raise ValueError(
                f"{path}: {name} holds {str(entry.dtype).removeprefix('torch.')} numbers: quantized weights are not read. "
                "Take the model they were made from."
            )


@torch.no_grad()
def require_finite(model: Model, weights: Iterable[Weight], path: Path) -> None:
    parameters = dict(model.named_parameters())
    for weight in weights:
        for tensor in (parameters[name] for name in weight.ours):
            if not bool(torch.isfinite(tensor.sum())) and not bool(
                torch.isfinite(tensor).all()
            ):  # a sum alone may overflow
                raise ValueError(
                    f"{path}: {weight.theirs} holds numbers that are not finite. The file is damaged; get it again from where it came."
                )
