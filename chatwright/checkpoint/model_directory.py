"""Save and load models: one directory holds one model, in the Hugging Face layout.

A directory holds config.json, model.safetensors, generation_config.json and the tokenizer's files.
If a family of transformers, such as Llama, supports the model's settings, tensors and settings in
the files have the names of that family, so that other tools can load them (the public form).
Otherwise they have Chatwright's own names.

For a model with an adapter, only the adapter is written (`adapter_directory`). Loading it also
loads its base.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, overload

import torch

from chatwright.checkpoint import (
    adapter_directory,
    adapter_file,
    adapter_weights,
    architectures,
    directory,
    families,
    json_file,
    own_layout,
    quantized_tensors,
    safetensors_file,
    stored_weights,
)
from chatwright.checkpoint.adapter_directory import Base
from chatwright.checkpoint.build_model import build, without_memory
from chatwright.checkpoint.config_file import public_config, read_config
from chatwright.checkpoint.family import Weight, to_public_tensors
from chatwright.checkpoint.find_model import find as find
from chatwright.checkpoint.find_model import holds_model as holds_model
from chatwright.checkpoint.quantized_tensors import QuantizedTensor
from chatwright.commands import command_line
from chatwright.errors import InputError
from chatwright.model import lora
from chatwright.model.encoder_config import EncoderConfig
from chatwright.model.gpt import GPT
from chatwright.model.linear import quantized_weights
from chatwright.model.model import Model, ModelConfig
from chatwright.model.transfer import give_scalar_head
from chatwright.tokenizer.imported_settings import SETTINGS_FILE
from chatwright.tokenizer.tokenizer import Tokenizer, load_tokenizer

TRAINING_FILE = "training.json"
GENERATION_FILE = "generation_config.json"
SAMPLING_NAMES = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "typical_p",
    "repetition_penalty",
)
"""Sampling settings that `generation_config.json` may hold, under transformers' names."""

M = TypeVar("M", bound=Model)


def save(
    path: Path,
    model: Model,
    tokenizer: Tokenizer,
    training: Mapping[str, Any] | None = None,
    base: Base | None = None,
    generation: Mapping[str, Any] | None = None,
) -> None:
    """Write a model directory atomically.

    Args:
        path: The directory to create or replace.
        model: The model.
        tokenizer: Its tokenizer.
        training: How the model was made; written to training.json.
        base: The base of the model's adapter, if it has one.
        generation: Further entries of generation_config.json.
    """
    with directory.atomic_directory(path) as temporary:
        write(temporary, model, tokenizer, base)
        if generation:
            add_generation(temporary, generation)
        if training is not None:
            text = json.dumps(training, indent=1)
            (temporary / TRAINING_FILE).write_text(text, encoding="utf-8")


def add_generation(path: Path, entries: Mapping[str, Any]) -> None:
    """Add entries to the generation_config.json of a directory that is being written."""
    file = path / GENERATION_FILE
    text = json.dumps(json_file.read_object(file) | dict(entries), indent=1)
    file.write_text(text, encoding="utf-8")


def sampling_entries(path: Path) -> dict[str, Any]:
    """Return the sampling settings of the model in the directory `path`, as they are stored.

    Those of an adapter are its base's.
    """
    if adapter_directory.is_adapter(path):
        path = adapter_directory.read(path).base.path
    file = path / GENERATION_FILE
    content = json_file.read_object(file) if file.is_file() else {}
    return {name: content[name] for name in SAMPLING_NAMES if content.get(name) is not None}


def write(target: Path, model: Model, tokenizer: Tokenizer, base: Base | None = None) -> None:
    """Write the files of a model, or of its adapter, into the existing directory `target`."""
    if lora.lora_layers(model):
        assert base is not None, "an adapter is saved with a reference to its base"
        adapter_directory.write(target, model, base, _layout_at(base.path, model))
    else:
        _write_model(target, model, tokenizer)
    tokenizer.save(target)


def _write_model(target: Path, model: Model, tokenizer: Tokenizer) -> None:
    is_quantized = bool(quantized_weights(model))
    config = public_config(model.config, for_other_tools=not is_quantized)
    weights = layout(model, config["model_type"])
    tensors = to_public_tensors(weights, dict(model.named_parameters()))
    if is_quantized:
        tensors = quantized_tensors.with_stored_bytes(tensors, model, weights)
    safetensors_file.save(tensors, target / stored_weights.SINGLE)
    ids, chat_format = tokenizer.public_ids, tokenizer.chat_format
    if family := families.for_config(model.config):
        ids |= family.extra_ids(model.config, ids)
    stops = {"eos_token_id": list(chat_format.stop_ids)} if chat_format else {}
    for name, content in (("config.json", config | ids), (GENERATION_FILE, ids | stops)):
        (target / name).write_text(json.dumps(content, indent=1), encoding="utf-8")


def layout(model: Model, model_type: str) -> list[Weight]:
    """List the tensors of a file with this `model_type`, and the parameters of `model` in each."""
    family = families.by_name(model_type)
    return own_layout.weights(model) if family is None else family.weights(model.config)


def _layout_at(path: Path, model: Model) -> list[Weight]:
    return layout(model, str(json_file.read_object(path / "config.json").get("model_type")))


@overload
def load(
    path: Path,
    device: torch.device | str = "cpu",
    changes: Mapping[str, Any] | None = None,
    *,
    keeps_quantized: bool = False,
) -> tuple[GPT, Tokenizer]: ...


@overload
def load(
    path: Path,
    device: torch.device | str = "cpu",
    changes: Mapping[str, Any] | None = None,
    *,
    kind: type[M],
    keeps_quantized: bool = False,
) -> tuple[M, Tokenizer]: ...


def load(
    path: Path,
    device: torch.device | str = "cpu",
    changes: Mapping[str, Any] | None = None,
    *,
    kind: type[Model] = GPT,
    keeps_quantized: bool = False,
) -> tuple[Model, Tokenizer]:
    """Load a model, in float32 and eval mode, and its tokenizer.

    An adapter is loaded together with its base.

    Args:
        path: A model directory or a training run, as in `find`.
        device: The device of the returned model.
        changes: New values of settings that do not change the weights' shapes, such as dropout.
        kind: The class of model that the caller needs; `Model` accepts every architecture.
        keeps_quantized: Whether quantized weights stay so; the model is then on the CPU and cannot
            be trained. Without it, and for adapters, they become float32.

    Raises:
        InputError: The files do not belong together, or hold a model of another class.
    """
    path = find(path)
    if adapter_directory.is_adapter(path):
        return _load_with_base(path, device, changes or {}, kind)
    config = read_config(path, changes or {})
    architecture = architectures.for_config(config)
    if not issubclass(architecture.model, kind):
        raise _wrong_kind(path, config, architecture, kind)
    tokenizer = load_tokenizer(path)
    if tokenizer.vocab_size != config.vocab_size:
        raise InputError(
            f"{path}: the tokenizer's vocab_size {tokenizer.vocab_size:,} does not match the "
            f"model's {config.vocab_size:,}.",
            remedy="Copy the files of both from the same directory.",
            field="vocab_size",
            value=tokenizer.vocab_size,
        )
    entries = stored_weights.find_tensors(path)
    kept: dict[str, QuantizedTensor] = {}
    if keeps_quantized:
        empty = without_memory(architecture.model, config)
        weights = _layout_at(path, empty)
        stored_weights.require_model(empty, weights, entries, path)
        kept = quantized_tensors.find(empty, weights, entries)
    saved = quantized_tensors.bytes_saved(kept.values())
    model = build(architecture.model, config, bytes_saved=saved)
    stored_weights.load_into(model, _layout_at(path, model), entries, path, kept)
    return (model if kept else model.to(device)).eval(), tokenizer


def _wrong_kind(
    path: Path, config: ModelConfig, architecture: architectures.Architecture, kind: type[Model]
) -> InputError:
    gives_vectors = isinstance(config, EncoderConfig) and config.head == "none"
    command = "embed" if gives_vectors else architecture.command
    wanted = next(a for a in architectures.ARCHITECTURES if a.model is kind)
    return InputError(
        f"{path}: this directory holds {architecture.description}, but this command needs "
        f"{wanted.description}.",
        remedy="Use: " + command_line(*command.split(), path),
        field="model",
        value=architecture.name,
    )


def _load_with_base(
    path: Path, device: torch.device | str, changes: Mapping[str, Any], kind: type[M]
) -> tuple[M, Tokenizer]:
    adapter = adapter_directory.read(path)
    base = adapter.base
    adapter_directory.check_base(path, base)
    model, tokenizer = load(base.path, device, {**base.changes, **changes}, kind=kind)
    if adapter.score is not None and isinstance(model, GPT):
        give_scalar_head(model)
    adapter_weights.attach(model, adapter, _layout_at(base.path, model), path)
    if (path / SETTINGS_FILE).is_file():  # it may have another system prompt than the base's
        tokenizer = load_tokenizer(path)
    return model.eval(), tokenizer


def restore(model: Model, path: Path) -> None:
    """Load the weights that `write` wrote at `path` into a model with the same settings."""
    if lora.lora_layers(model):
        adapter = adapter_directory.read(path)
        adapter_weights.restore(model, adapter, _layout_at(adapter.base.path, model), path)
    else:
        entries = stored_weights.find_tensors(path)
        stored_weights.load_into(model, _layout_at(path, model), entries, path)


def weights_hash(path: Path) -> str:
    """Return the SHA-256 sum of a model's weights, or of an adapter's own weights.

    The hash of an adapter does not cover its base, whose hash is stored in base.json.
    """
    path = find(path)
    is_adapter = adapter_directory.is_adapter(path)
    name = adapter_file.WEIGHTS if is_adapter else stored_weights.SINGLE
    return directory.sha256(path / name)


def base_of(model: Model, parent: Path) -> Base:
    """Return the base for an adapter of `model`, which was loaded from `parent`.

    If the parent is itself an adapter, this is the parent's base.
    """
    path = find(parent).resolve()
    if adapter_directory.is_adapter(path):
        path = adapter_directory.read(path).base.path
    settings = dataclasses.asdict(model.config)  # type: ignore[call-overload]
    saved = dataclasses.asdict(read_config(path))  # type: ignore[call-overload]
    # Keep the base's head here: a head of the adapter's own is in the adapter's file.
    settings |= {name: saved[name] for name in ("head", "labels") if name in saved}
    changes = {name: value for name, value in settings.items() if saved[name] != value}
    return Base(path, directory.sha256(path / stored_weights.SINGLE), changes)
