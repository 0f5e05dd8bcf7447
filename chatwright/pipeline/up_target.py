"""Decide whether `chatwright up NAME` builds a recipe or serves a model that exists already.

A name is looked up in this order: an existing path, a packaged recipe, a known model, a name on
huggingface.co. A name that means two of the first three is an error.
"""

from collections.abc import Sequence
from pathlib import Path

from chatwright.checkpoint import hub, registry, run_directory
from chatwright.checkpoint.directory import MANIFEST
from chatwright.commands import command_line, quoted
from chatwright.errors import InputError
from chatwright.pipeline.model_names import model_directory, require_one_meaning
from chatwright.pipeline.open_models.fetch import FetchWatcher, fetch
from chatwright.pipeline.open_models.known_models import known_model
from chatwright.pipeline.packaged_recipes import RECIPE, find_recipe, is_packaged_recipe

CONFIG = "config.json"


def is_open_model(name: str) -> bool:
    """Return whether `chatwright up NAME` serves a model, and not the result of a recipe.

    Raises:
        InputError: The name means two things.
    """
    path = Path(name)
    if path.exists():
        require_one_meaning(path)
        _require_no_recipe(name, f"the path {path.resolve()}", quoted(path.resolve()))
        return _is_model(path)
    if find_recipe(path).exists():
        if known_model(name):
            _require_no_recipe(name, "a known model", command_line("fetch", name))
        return False
    return known_model(name) is not None or (hub.is_hub_name(name) and path.suffix != ".toml")


def _require_no_recipe(name: str, other: str, remedy: str) -> None:
    if not is_packaged_recipe(name):
        return
    raise InputError(
        f"{name}: this is both {other} and the name of a packaged recipe.",
        remedy=f"For the first, use {remedy}. For the recipe, work in another folder.",
        field="NAME",
        value=name,
    )


def _is_model(path: Path) -> bool:
    """Return whether an existing path is a model or a training run, and no recipe or its folder."""
    if path.is_file():
        return path.suffix == ".gguf"
    if (path / RECIPE).is_file():
        return False
    return (path / CONFIG).is_file() or _is_own(path)


def _is_own(path: Path) -> bool:
    """Return whether Chatwright made `path`: a training run, or the versions of a model."""
    return run_directory.is_run(path) or registry.holds_registry(path)


def require_chat_model(name: str, options: Sequence[str]) -> None:
    """Raise InputError before any download if `up` cannot serve this model, or has other options.

    Args:
        name: The name, for which `is_open_model` is true.
        options: The options given that apply to recipes only.
    """
    if options:
        raise InputError(
            f"{name}: {', '.join(options)} would change a recipe's build, but this is a model.",
            remedy=f"Serve it as it is: {command_line('up', name)}",
            field=options[0],
        )
    model = known_model(name)
    if model is None or model.use == "chat":
        return
    raise InputError(
        f"{name}: this model makes vectors of texts and cannot converse.",
        remedy=f"Fetch it: {command_line('fetch', name)}. "
        f"Then use it: {command_line(model.use, name, 'A text.')}",
        field="NAME",
        value=name,
    )


def open_model_directory(name: str, watcher: FetchWatcher, weights: str = "float32") -> Path:
    """Return the directory of the model that `chatwright up NAME` serves; fetch it if needed.

    The arguments are those of `fetch`.
    """
    path = Path(name)
    is_own = (path / MANIFEST).is_file() or _is_own(path)
    if path.exists() and is_own:
        return model_directory(name)
    return fetch(name, watcher, weights).directory
