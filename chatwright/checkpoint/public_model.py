"""Load a model that another tool wrote, from its config.json and safetensors files.

Nothing in the directory is executed: no pickle, no code, no template. The result lists fields and
tensors that were not used.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor

from chatwright.checkpoint import (
    architectures,
    build_model,
    families,
    json_file,
    quantized_tensors,
    sentence_transformers,
    stored_weights,
)
from chatwright.checkpoint.family import Family, Weight, public_shapes
from chatwright.checkpoint.public_config import PublicConfig
from chatwright.checkpoint.quantized_tensors import QuantizedEntry, QuantizedTensor
from chatwright.checkpoint.safetensors_file import Entry
from chatwright.checkpoint.stored_weights import StoredTensor
from chatwright.errors import InputError
from chatwright.model.encoder_config import EncoderConfig
from chatwright.model.gpt_config import GPTConfig
from chatwright.model.linear import quantized_weights
from chatwright.model.model import Model, ModelConfig

QUANTIZED = "quantized weights are not supported; import the model they were made from"


@dataclass(frozen=True)
class PublicModel:
    """A model read from another tool's directory."""

    family: Family
    model: Model
    """The model, in float32 and eval mode."""
    unused: list[str]
    """Names of fields and tensors that were not used."""


def read(path: Path, context_length: int | None = None) -> PublicModel:
    """Load the model in the directory `path`, optionally with a shorter context.

    Raises:
        InputError: The model's family or a setting is not supported, or a file is damaged.
    """
    file = path / "config.json"
    public = PublicConfig(json_file.read_object(file), str(file))
    family = family_of(public)
    config = family.from_public(public)
    if isinstance(config, EncoderConfig):
        config = dataclasses.replace(config, **sentence_transformers.read_settings(path, config))
    if context_length is not None:
        config = shortened(config, context_length, path)
    entries = stored_weights.find_tensors(path)
    weights = family.weights(config)
    expected = public_shapes(weights, parameter_shapes(config))
    named, unused = match_names(entries, expected, family)
    require_floats(named, path)
    model = load(config, weights, named, path)
    return PublicModel(family, model, [*public.unread(), *unused])


def parameter_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the parameters of a model with these settings, without building it."""
    empty = build_model.without_memory(architectures.for_config(config).model, config)
    return stored_weights.parameter_shapes(empty)


def load(
    config: ModelConfig,
    weights: list[Weight],
    entries: Mapping[str, StoredTensor],
    path: Path,
    kept: Mapping[str, QuantizedTensor] = MappingProxyType({}),
) -> Model:
    """Load a model, in float32 and eval mode, from the tensors in `entries`.

    The shapes are checked before memory is allocated. Errors name `path`. The tensors in `kept`,
    by the parameter's name, stay quantized.
    """
    require_shapes(config, weights, entries, path)
    kind = architectures.for_config(config).model
    saved = quantized_tensors.bytes_saved(kept.values())
    model = build_model.build(kind, config, bytes_saved=saved)
    stored_weights.load_into(model, weights, entries, path, kept)
    require_finite(model, weights, path)
    return model.eval()


def require_shapes(
    config: ModelConfig, weights: list[Weight], entries: Mapping[str, StoredTensor], path: Path
) -> None:
    """Reject missing, unexpected and misshapen tensors. Errors name `path`."""
    stored = {name: entry.shape for name, entry in entries.items()}
    expected = public_shapes(weights, parameter_shapes(config))
    stored_weights.require_same_shapes(expected, stored, path)


def shortened(config: ModelConfig, context_length: int, path: Path) -> ModelConfig:
    """Return the settings with a shorter context.

    Only decoders with rotary positions support this: other models store a vector for each position,
    and these vectors would have to be cut.
    """
    if (
        not isinstance(config, GPTConfig)
        or config.position != "rotary"
        or not 1 <= context_length <= config.context_length
    ):
        raise InputError(
            f"--context-length {context_length}: {path} has a context of "
            f"{config.context_length} tokens, and only decoders with rotary positions can be "
            "imported with a shorter one.",
            remedy="Leave the option out.",
            field="context_length",
            value=context_length,
        )
    return dataclasses.replace(config, context_length=context_length)


def family_of(public: PublicConfig) -> Family:
    """Return the family that config.json names."""
    model_type, classes = public["model_type"], public.get("architectures", [])
    family = families.by_name(model_type) if isinstance(model_type, str) else None
    if family is None:
        known = ", ".join(family.name for family in families.FAMILIES)
        raise public.error("model_type", f"the supported families are {known}")
    is_list = isinstance(classes, list)
    if classes and not (is_list and set(map(str, classes)) & set(family.architectures)):
        supported = " or ".join(family.architectures)
        raise public.error("architectures", f"for {family.name}, only {supported} is supported")
    if public.get("quantization_config") is not None:
        raise public.error("quantization_config", QUANTIZED)
    return family


def match_names(
    tensors: Mapping[str, Entry | QuantizedEntry],
    expected: Mapping[str, tuple[int, ...]],
    family: Family,
) -> tuple[dict[str, StoredTensor], list[str]]:
    """Give the tensors the family's full names, and set aside those that the model does not need.

    Returns:
        The tensors to load by full name, and the stored names of those that are not needed. An
        unknown tensor is among the first, so that loading rejects it.
    """
    named: dict[str, StoredTensor] = {}
    unused = []
    for stored_name, tensor in tensors.items():
        name = _full_name(stored_name, expected, family)
        if name in expected or not (ignored := _ignored(stored_name, name, family)):
            named[name] = tensor
        else:
            unused.append(ignored)
    return named, sorted(set(unused))


def _ignored(stored_name: str, name: str, family: Family) -> str:
    """Return the name in the list of unused tensors; "" for a tensor that the model may need."""
    prefixes = [prefix for prefix in family.ignored_prefixes if name.startswith(prefix)]
    if prefixes:
        return f"{prefixes[0]}*"
    # A tied output head is not needed, because the embedding holds the same weights.
    is_ignored = name.endswith(family.ignored_suffixes) or name == "lm_head.weight"
    return stored_name if is_ignored else ""


def _full_name(stored_name: str, expected: Mapping[str, tuple[int, ...]], family: Family) -> str:
    # The oldest files come from TensorFlow, where a norm's parameters are called gamma and beta.
    name = stored_name.replace("LayerNorm.gamma", "LayerNorm.weight")
    name = name.replace("LayerNorm.beta", "LayerNorm.bias")
    for prefix, full_prefix in family.renamed_prefixes.items():
        if name.startswith(prefix):
            name = full_prefix + name.removeprefix(prefix)
            break
    if name not in expected and family.prefix + name in expected:
        return family.prefix + name
    return name


def require_floats(tensors: Mapping[str, StoredTensor], path: Path) -> None:
    """Reject tensors of integers, which are quantized weights."""
    for name, entry in tensors.items():
        if not entry.dtype.is_floating_point:
            dtype = str(entry.dtype).removeprefix("torch.")
            raise InputError(
                f"{path}: {name} holds {dtype} values: {QUANTIZED}.", field=name, value=dtype
            )


@torch.no_grad()
def require_finite(model: Model, weights: Iterable[Weight], path: Path) -> None:
    """Reject weights that are infinite or NaN."""
    parameters = dict(model.named_parameters())
    quantized = quantized_weights(model)
    for weight in weights:
        for name in weight.parameters:
            if name in quantized:
                is_finite = quantized[name].is_finite()
            else:
                is_finite = _is_finite(parameters[name])
            if not is_finite:
                raise InputError(
                    f"{path}: {weight.public_name} holds infinite or NaN values, so the file is "
                    "damaged.",
                    remedy="Get it again from the model's source.",
                    field=weight.public_name,
                )


def _is_finite(tensor: Tensor) -> bool:
    # Checking the sum is faster, but it can overflow although every element is finite.
    return bool(torch.isfinite(tensor.sum()) or torch.isfinite(tensor).all())
