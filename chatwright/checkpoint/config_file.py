"""Write and read config.json: the fields of a model family and Chatwright's own settings.

Other tools read the fields of the family, such as Llama. Chatwright reads its own settings, which
are stored under the key "chatwright".
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chatwright import config as config_files
from chatwright.checkpoint import architectures, families, json_file, own_layout
from chatwright.checkpoint.public_config import LARGEST
from chatwright.errors import InputError
from chatwright.model.model import ModelConfig

LARGEST_COUNT = 1000  # largest number of layers, heads and other parts


def public_config(config: ModelConfig, for_other_tools: bool = True) -> dict[str, Any]:
    """Return the contents of config.json, except for token ids.

    Without `for_other_tools`, it names no family, so that other tools refuse the directory.
    """
    name = architectures.for_config(config).name
    settings = dataclasses.asdict(config)  # type: ignore[call-overload]
    own = {"chatwright": {"architecture": name} | settings}
    family = families.for_config(config) if for_other_tools else None
    if family is None:
        return own_layout.settings(config) | own
    return (
        {"architectures": [family.architectures[0]], "model_type": family.name}
        | family.to_public(config)
        | {"torch_dtype": "float32"}
        | own
    )


def read_config(path: Path, changes: Mapping[str, Any] | None = None) -> ModelConfig:
    """Read Chatwright's settings from path/config.json and apply `changes` to them."""
    file = path / "config.json"
    own = json_file.read_object(file).get("chatwright")
    if not isinstance(own, dict):
        raise InputError(
            f'{file}: it has no "chatwright" settings, so Chatwright did not write it.',
            remedy="If another tool wrote the model, import it with: chatwright import",
            field="chatwright",
        )
    architecture = architectures.by_name(own.pop("architecture", "gpt"), str(file))
    source = str(file)
    if changes:
        source += f" with {', '.join(f'{name}={value}' for name, value in changes.items())}"
    saved = config_files.rename_old_keys(architecture.config, own, source)
    changed = config_files.rename_old_keys(architecture.config, changes or {}, source)
    config = config_files.build(architecture.config, {**saved, **changed}, source)
    _require_possible(config, source)
    return config


def _require_possible(config: ModelConfig, source: str) -> None:
    """Reject sizes that no model has, before memory is allocated for them."""
    for name, value in vars(config).items():
        largest = LARGEST_COUNT if name.startswith("n_") else LARGEST
        if isinstance(value, int) and value > largest:
            raise InputError(
                f"{source}: {name} = {value} is above {largest:,}, the most a model can have.",
                remedy="Get config.json again from the model's source.",
                field=name,
                value=value,
            )
