"""One directory = one model: config.json, model.safetensors, tokenizer files, generation_config.json, in the Hugging Face layout.

A model whose shape a public family has is written as that family, so that other tools open it; every other shape in our own layout.
Our own settings stand in config.json in either case, and are what is read. A model with an adapter is written as the adapter alone
(`adapter_directory`), and opening that opens its base too.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, overload

import torch
from torch import Tensor, nn

from chatwright import config as config_files
from chatwright.checkpoint import (
    adapter_directory,
    architectures,
    directory,
    families,
    json_file,
    own_layout,
    safetensors_file,
    stored_weights,
)
from chatwright.checkpoint.adapter_directory import Base
from chatwright.checkpoint.family import Weight, to_public_tensors
from chatwright.checkpoint.public_config import LARGEST
from chatwright.commands import command_line
from chatwright.devices import available_memory
from chatwright.model import lora
from chatwright.model.gpt import GPT
from chatwright.model.model import Model, ModelConfig, count_parameters
from chatwright.tokenizer.tokenizer import Tokenizer, load_tokenizer

MOST_LAYERS = 1000  # and heads, and whatever else is counted

M = TypeVar("M", bound=Model)
C = TypeVar("C")


def save(
    path: Path,
    model: Model,
    tokenizer: Tokenizer,
    notes: Mapping[str, Any] | None = None,
    base: Base | None = None,
) -> None:
    """Write the directory atomically. `notes` (how it was made) go into training.json beside the weights."""
    with directory.atomic_directory(path) as building:
        write(building, model, tokenizer, base)
        if notes is not None:
            (building / "training.json").write_text(json.dumps(notes, indent=1), encoding="utf-8")


def write(building: Path, model: Model, tokenizer: Tokenizer, base: Base | None = None) -> None:
    """`base` is what the model's adapter stands on; a model without an adapter has none."""
    if lora.lora_layers(model):
        assert base is not None, (
            "a model with an adapter is saved as the adapter alone, which has to name its base"
        )
        adapter_directory.write(building, model, base, _layout_at(base.path, model))
        tokenizer.save(building)
        return
    public = public_config(model.config)
    safetensors_file.save(
        to_public_tensors(layout(model, public["model_type"]), dict(model.named_parameters())),
        building / "model.safetensors",
    )
    ids, chat_format = tokenizer.public_ids, tokenizer.chat_format
    if family := families.for_config(model.config):
        ids |= family.ids(model.config, ids)
    (building / "config.json").write_text(json.dumps(public | ids, indent=1), encoding="utf-8")
    stops = {"eos_token_id": list(chat_format.stop_ids)} if chat_format else {}
    (building / "generation_config.json").write_text(
        json.dumps(ids | stops, indent=1), encoding="utf-8"
    )
    tokenizer.save(building)


def public_config(config: ModelConfig) -> dict[str, Any]:
    """config.json: a public family's fields where one has this shape, and always our own settings under "chatwright"."""
    name = architectures.for_config(config).name
    ours = {"chatwright": {"architecture": name} | dataclasses.asdict(config)}  # type: ignore[call-overload]
    family = families.for_config(config)
    if family is None:
        return own_layout.settings(config) | ours
    return (
        {"architectures": [family.architectures[0]], "model_type": family.name}
        | family.to_public(config)
        | {"torch_dtype": "float32"}
        | ours
    )


def layout(model: Model, model_type: str) -> list[Weight]:
    """How the tensors of `model` are called in a file of that type."""
    family = families.by_name(model_type)
    return own_layout.weights(model) if family is None else family.weights(model.config)


def find(path: Path) -> Path:
    """The model a person means by `path`: the directory itself, or the finished model or newest checkpoint of a training run.

    Reads only: a run may be writing there.
    """
    if place := _model_in(path):
        return place
    stages = [inside for inside in path.iterdir() if _model_in(inside)] if path.is_dir() else []
    if stages:  # the folder of a whole recipe
        raise ValueError(
            f"{path}: holds no model itself, its stages do. Give one of them: {', '.join(map(str, sorted(stages)))}"
        )
    raise ValueError(
        f"{path}: holds no model (config.json and model.safetensors). Give the folder a training run wrote, "
        "or make one with: chatwright up"
    )


def _model_in(path: Path) -> Path | None:
    for place in (directory.readable_path(path), directory.readable_path(path / "model")):
        if (place / "config.json").is_file() or adapter_directory.is_adapter(place):
            return place
    return directory.newest_valid(path / "checkpoints", "step-*")


@overload
def load(
    path: Path, device: torch.device | str = "cpu", changes: Mapping[str, Any] | None = None
) -> tuple[GPT, Tokenizer]: ...


@overload
def load(
    path: Path,
    device: torch.device | str = "cpu",
    changes: Mapping[str, Any] | None = None,
    *,
    kind: type[M],
) -> tuple[M, Tokenizer]: ...


def load(
    path: Path,
    device: torch.device | str = "cpu",
    changes: Mapping[str, Any] | None = None,
    *,
    kind: type[Model] = GPT,
) -> tuple[Model, Tokenizer]:
    """Model (eval mode, float32) and tokenizer. Raises ValueError by name for anything that does not fit together.

    `changes` are settings that no weight depends on (dropout, a longer context). `kind` is the class the caller can use: most verbs
    converse, which takes a decoder; `kind=Model` opens any. An adapter comes with its base.
    """
    path = find(path)
    if adapter_directory.is_adapter(path):
        return _load_with_base(path, device, changes or {}, kind)
    config = read_config(path, changes or {})
    architecture = architectures.for_config(config)
    if not issubclass(architecture.model, kind):
        raise ValueError(
            f"{path}: holds a model of the kind {architecture.name!r}, which cannot do this; what can is called {kind.__name__}. "
            f"What it can do: {command_line(architecture.verb, path)}"
        )
    tokenizer = load_tokenizer(path)
    if tokenizer.vocab_size != config.vocab_size:
        raise ValueError(
            f"{path}: the tokenizer has {tokenizer.vocab_size} tokens, the model {config.vocab_size}. "
            "They are not from the same run; copy both from one directory."
        )
    model = build(architecture.model, config)
    stored_weights.load_into(
        model, _layout_at(path, model), stored_weights.find_tensors(path), path
    )
    return model.to(device).eval(), tokenizer


def _load_with_base(
    path: Path, device: torch.device | str, changes: Mapping[str, Any], kind: type[M]
) -> tuple[M, Tokenizer]:
    adapter = adapter_directory.read(path)
    adapter_directory.check_base(path, adapter.base)
    model, tokenizer = load(
        adapter.base.path, device, {**adapter.base.changes, **changes}, kind=kind
    )
    adapter_directory.attach(model, adapter, _layout_at(adapter.base.path, model), path)
    return model.eval(), tokenizer


def restore(model: Model, path: Path) -> None:
    """Put what `write_into` wrote at `path` into a model like the one it wrote it from."""
    if lora.lora_layers(model):
        adapter_directory.restore(
            model, path, _layout_at(adapter_directory.read(path).base.path, model)
        )
    else:
        stored_weights.load_into(
            model, _layout_at(path, model), stored_weights.find_tensors(path), path
        )


def weights_hash(path: Path) -> str:
    """SHA-256 of the weights of the model at `path`; of an adapter its own, since it names its base by hash."""
    path = find(path)
    return directory.sha256(
        path
        / (adapter_directory.WEIGHTS if adapter_directory.is_adapter(path) else "model.safetensors")
    )


def base_of(model: Model, parent: Path) -> Base:
    """What an adapter of `model`, which was loaded from `parent`, stands on: the parent, or the base of the parent's own adapter."""
    path = find(parent).resolve()
    if adapter_directory.is_adapter(path):
        path = adapter_directory.read(path).base.path
    now, before = (dataclasses.asdict(config) for config in (model.config, read_config(path)))  # type: ignore[call-overload]
    return Base(
        path,
        directory.sha256(path / "model.safetensors"),
        {name: value for name, value in now.items() if before[name] != value},
    )


def build(kind: Callable[[C], M], config: C, device: torch.device | str = "cpu") -> M:
    """A model with unset weights; refused before anything is allocated when it cannot fit in memory."""
    with torch.device("meta"):
        made = kind(config)
        n_parameter = count_parameters(made)
        n_number = n_parameter + sum(buffer.numel() for buffer in made.buffers())
    needed, free = 4 * n_number, available_memory()
    if torch.device(device).type == "cpu" and needed > free:
        raise ValueError(
            f"a model of {n_parameter:,} parameters needs {needed / 1e9:.1f} GB of memory; {free / 1e9:.1f} GB are free. "
            'Choose a smaller size (for example size = "small") or a machine with more memory.'
        )
    return kind(config).to(device)


def read_config(path: Path, changes: Mapping[str, Any] | None = None) -> ModelConfig:
    """The settings at `path`, with `changes` on top."""
    file = path / "config.json"
    ours = json_file.read_object(file).get("chatwright")
    if not isinstance(ours, dict):
        raise ValueError(
            f'{file}: not written by Chatwright (no "chatwright" settings in it). '
            "Models of other tools have to be imported first."
        )
    architecture = architectures.by_name(ours.pop("architecture", "gpt"), str(file))
    where = (
        f"{file} with {', '.join(f'{name}={value}' for name, value in changes.items())}"
        if changes
        else str(file)
    )
    saved, changed = (
        config_files.rename_old_keys(architecture.config, table, where)
        for table in (ours, changes or {})
    )
    config = config_files.build(architecture.config, {**saved, **changed}, where)
    _require_possible(config, where)
    return config


def _require_possible(config: ModelConfig, where: str) -> None:
    """Refuse numbers no model has before a million layers are made of them."""
    for name, value in vars(config).items():
        most = MOST_LAYERS if name.startswith("n_") else LARGEST
        if isinstance(value, int) and value > most:
            raise ValueError(
                f"{where}: {name} = {value} is more than the {most:,} any model can have. Get config.json again from where it came."
            )


def _layout_at(path: Path, model: Model) -> list[Weight]:
    return layout(model, str(json_file.read_object(path / "config.json").get("model_type")))


def load_weights(model: Model, weights: Mapping[str, Tensor], source: Path) -> None:
    """Copy tensors, by our names, into the model."""
    stored_weights.require_same_shapes(
        stored_weights.parameter_shapes(model),
        {name: tuple(tensor.shape) for name, tensor in weights.items()},
        source,
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])


def assign_weights(model: Model, weights: Mapping[str, Tensor]) -> None:
    """Make tensors, by our names, the model's own, without a copy. A weight that stands in several places (a tied head) stays one."""
    new = {
        id(old): nn.Parameter(weights[name], old.requires_grad)
        for name, old in model.named_parameters()
    }
    for module in model.modules():
        for name, old in module.named_parameters(recurse=False, remove_duplicate=False):
            setattr(module, name, new[id(old)])
