"""The sampling settings that a model's author recommends, in generation_config.json.

They apply where a request leaves a setting out; what the user gives wins. The file's `do_sample` is
not read: temperature 0 is greedy.
"""

from collections.abc import Mapping
from pathlib import Path

from chatwright.checkpoint import model_directory
from chatwright.engine.messages import SamplingConfig
from chatwright.errors import InputError


def read_sampling_defaults(path: Path) -> dict[str, float]:
    """Return the settings of the model directory `path`, those of its base for an adapter.

    Raises:
        InputError: A setting is not a number in its range.
    """
    found = model_directory.sampling_entries(path)
    try:
        SamplingConfig(**found)
    except InputError as error:
        raise InputError(
            f"{path}: {model_directory.GENERATION_FILE}: {error.problem}",
            remedy="Correct the value, or remove the line.",
            field=error.field,
            value=error.value,
        ) from None
    return found


def defaults_text(defaults: Mapping[str, float]) -> str:
    """Describe settings for the user; "" for none."""
    return ", ".join(f"{name} {value:g}" for name, value in defaults.items())
