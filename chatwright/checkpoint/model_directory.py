"""One directory = one model: config.json, model.safetensors, tokenizer files, generation_config.json, in the Hugging Face layout.

A model whose shape a public family has is written as that family, so that other tools open it; every other shape in our own layout.
Our own settings stand in config.json in either case, and are what is read.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, overload

import torch
from torch import Tensor, nn

from chatwright import config as config_files
from chatwright.checkpoint import architectures, directory, families, json_table, own_layout, safetensors_file
from chatwright.checkpoint.family import Weight, public_shapes, to_ours, to_theirs
from chatwright.devices import available_memory
from chatwright.model.gpt import GPT
from chatwright.model.model import Model, ModelConfig, count_parameters
from chatwright.tokenizer.tokenizer import Tokenizer, load_tokenizer

M = TypeVar("M", bound=Model)
C = TypeVar("C")


def save(path: Path, model: Model, tokenizer: Tokenizer, notes: Mapping[str, Any] | None = None) -> None:
    """Write the directory atomically. `notes` (how it was made) go into training.json beside the weights."""
    with directory.writing(path) as building:
        write_into(building, model, tokenizer)
        if notes is not None:
            (building / "training.json").write_text(json.dumps(notes, indent=1))


def write_into(building: Path, model: Model, tokenizer: Tokenizer) -> None:
    public = public_config(model.config)
    safetensors_file.save(to_theirs(layout(model, public["model_type"]), dict(model.named_parameters())), building / "model.safetensors")
    control = tokenizer.control
    ids = {"bos_token_id": control.bos, "eos_token_id": control.end, "pad_token_id": control.pad}
    (building / "config.json").write_text(json.dumps(public | ids, indent=1))
    stops = [control.end, control.end_of_command]
    (building / "generation_config.json").write_text(json.dumps(ids | {"eos_token_id": stops}, indent=1))
    tokenizer.save(building)


def public_config(config: ModelConfig) -> dict[str, Any]:
    """config.json: a public family's fields where one has this shape, and always our own settings under "chatwright"."""
    name = architectures.of(config).name
    ours = {"chatwright": {"architecture": name} | dataclasses.asdict(config)}  # type: ignore[call-overload]
    family = families.expressing(config)
    if family is None:
        return own_layout.settings(config) | ours
    return {"architectures": [family.architectures[0]], "model_type": family.name} | family.to_public(config) | {"torch_dtype": "float32"} | ours


def layout(model: Model, model_type: str) -> list[Weight]:
    """How the tensors of `model` are called in a file of that type."""
    family = families.named(model_type)
    return own_layout.weights(model) if family is None else family.weights(model.config)


def find(path: Path) -> Path:
    """The model a person means by `path`: the directory itself, or the finished model or newest checkpoint of a training run."""
    directory.recover(path)
    if (path / "config.json").is_file():
        return path
    if (path / "model" / "config.json").is_file():
        return path / "model"
    if newest := directory.newest_valid(path / "checkpoints", "step-*"):
        return newest
    raise ValueError(f"{path}: holds no model (config.json and model.safetensors). Give the folder a training run wrote, "
                     "or make one with: chatwright up")


@overload
def load(path: Path, device: torch.device | str = "cpu") -> tuple[GPT, Tokenizer]: ...


@overload
def load(path: Path, device: torch.device | str = "cpu", *, kind: type[M]) -> tuple[M, Tokenizer]: ...


def load(path: Path, device: torch.device | str = "cpu", *, kind: type[Model] = GPT) -> tuple[Model, Tokenizer]:
    """Model (eval mode, float32) and tokenizer. Raises ValueError by name for anything that does not fit together.

    `kind` is the class the caller can use: most verbs converse, which takes a decoder. `kind=Model` opens any.
    """
    path = find(path)
    config = read_config(path)
    architecture = architectures.of(config)
    if not issubclass(architecture.model, kind):
        raise ValueError(f"{path}: holds a model of the kind {architecture.name!r}, which cannot do this. "
                         f"Give a directory with a {kind.__name__}.")
    tokenizer = load_tokenizer(path)
    if tokenizer.vocab_size != config.vocab_size:
        raise ValueError(f"{path}: the tokenizer has {tokenizer.vocab_size} tokens, the model {config.vocab_size}. "
                         "They are not from the same run; copy both from one directory.")
    model = build(architecture.model, config, device)
    load_weights(model, read_weights(path, model), path)
    return model.eval(), tokenizer


def build(kind: Callable[[C], M], config: C, device: torch.device | str = "cpu") -> M:
    """A model with unset weights; refused before anything is allocated when it cannot fit in memory."""
    with torch.device("meta"):
        made = kind(config)
        n_parameter = count_parameters(made)
        n_number = n_parameter + sum(buffer.numel() for buffer in made.buffers())
    needed, free = 4 * n_number, available_memory()
    if torch.device(device).type == "cpu" and needed > free:
        raise ValueError(f"a model of {n_parameter:,} parameters needs {needed / 1e9:.1f} GB of memory; {free / 1e9:.1f} GB are free. "
                         "Choose a smaller size (for example size = \"small\") or a machine with more memory.")
    return kind(config).to(device)


def read_config(path: Path) -> ModelConfig:
    file = path / "config.json"
    ours = json_table.read(file).get("chatwright")
    if not isinstance(ours, dict):
        raise ValueError(f"{file}: not written by Chatwright (no \"chatwright\" settings in it). "
                         "Models of other tools have to be imported first.")
    architecture = architectures.named(ours.pop("architecture", "gpt"), str(file))
    return config_files.build(architecture.config, ours, str(file))


def read_weights(path: Path, model: Model) -> dict[str, Tensor]:
    """The tensors in `path` by our names, for a model of its config; missing, extra and misshapen ones are refused by name."""
    tensors = safetensors_file.load_directory(path)
    weights = layout(model, str(json_table.read(path / "config.json").get("model_type")))
    shapes = {name: p.shape for name, p in model.named_parameters()}
    require_match(public_shapes(weights, shapes), tensors, path)
    return to_ours(weights, tensors, shapes)


def load_weights(model: Model, weights: Mapping[str, Tensor], source: Path) -> None:
    """Copy tensors, by our names, into the model."""
    require_match({name: tuple(p.shape) for name, p in model.named_parameters()}, weights, source)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])


def assign(model: Model, weights: Mapping[str, Tensor]) -> None:
    """Make tensors, by our names, the model's own, without a copy. A weight that stands in several places (a tied head) stays one."""
    new = {id(old): nn.Parameter(weights[name], old.requires_grad) for name, old in model.named_parameters()}
    for module in model.modules():
        for name, old in module.named_parameters(recurse=False, remove_duplicate=False):
            setattr(module, name, new[id(old)])


def require_match(expected: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor], source: Path) -> None:
    missing, extra = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
    if missing or extra:
        raise ValueError(f"{source}: model.safetensors does not match config.json: missing {missing[:3] or 'none'}, unexpected "
                         f"{extra[:3] or 'none'} ({len(missing)} and {len(extra)} in all). The two files are from different models.")
    for name, shape in expected.items():
        if tensors[name].shape != shape:
            raise ValueError(f"{source}: {name} has shape {tuple(tensors[name].shape)}, config.json asks for {shape}. "
                             "The two files are from different models.")
