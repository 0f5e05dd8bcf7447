"""The sampling settings that a model's author recommends, in generation_config.json.

They apply where a request leaves a setting out; what the user gives wins. The file's `do_sample` is
not read: temperature 0 is greedy.
"""

from collections.abc import Mapping
from pathlib import Path

from chatwright.checkpoint import adapter_directory, json_file, model_directory
from chatwright.engine.messages import SamplingConfig
from chatwright.errors import InputError

NAMES = ("temperature", "top_p", "top_k", "min_p", "typical_p", "repetition_penalty")
"""The settings that are read. transformers has them under the same names."""


def read_sampling_defaults(path: Path) -> dict[str, float]:
    """Return the settings of the model directory `path`, those of its base for an adapter.

    Raises:
        InputError: A setting is not a number in its range.
    """
    if adapter_directory.is_adapter(path):
        path = adapter_directory.read(path).base.path
    file = path / model_directory.GENERATION_FILE
    if not file.is_file():
        return {}
    content = json_file.read_object(file)
    found = {name: content[name] for name in NAMES if content.get(name) is not None}
    try:
        SamplingConfig(**found)
    except InputError as error:
        raise InputError(
            f"{file}: {error.problem}",
            remedy="Correct the value, or remove the line.",
            field=error.field,
            value=error.value,
        ) from None
    return found


def defaults_text(defaults: Mapping[str, float]) -> str:
    """Describe settings for the user; "" for none."""
    return ", ".join(f"{name} {value:g}" for name, value in defaults.items())
