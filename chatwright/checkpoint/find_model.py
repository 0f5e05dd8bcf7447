"""Find the model directory that a path names: a model, a training run, or a version.

This module needs no torch, so the web application can find models, too.
"""

from pathlib import Path

from chatwright.checkpoint import directory, registry, run_directory, versions
from chatwright.checkpoint.gguf_header import is_gguf
from chatwright.checkpoint.model_files import is_model
from chatwright.commands import command_line, quoted
from chatwright.errors import InputError


def find(path: Path) -> Path:
    """Return the model directory at `path`, which may also be the directory of a training run.

    For a training run, this is its finished model, or else its newest checkpoint. For a directory
    with a registry, it is the served version. Nothing is written, so the run may still be in
    progress.

    Raises:
        InputError: `path` is neither. Directories below it, such as stages, are not searched.
    """
    if model := _model_in(path):
        return model
    raise InputError(
        f"{path}: {_problem(path)}.",
        remedy=_where_models_are(path),
        field="model",
        value=str(path),
    )


def holds_model(path: Path) -> bool:
    """Return whether `path` is a model directory or a training run with a model."""
    return _model_in(path) is not None


def _problem(path: Path) -> str:
    if path.is_file():
        return "this is a file, not the directory of a model"
    return "this directory holds no model" if path.exists() else "there is no such directory"


def _where_models_are(path: Path) -> str:
    """Name the models below a directory, or explain how to get one."""
    if is_gguf(path):
        return f"Import the model first: {command_line('import', path, path.stem)}"
    models: list[Path] = []
    for folder in [*path.glob("*"), *path.glob("*/*")]:  # stages of a recipe, also in path/runs
        if folder.parent not in models and _model_in(folder):
            models.append(folder)
    if models:
        return f"Give one of the models in it: {', '.join(map(quoted, sorted(models)))}"
    if path.is_dir() and next(path.glob("*.toml"), None):
        return f"If chatwright new created it, build its model: {command_line('up', path)}"
    return "Give a model directory, or the directory of a training run."


def _model_in(path: Path) -> Path | None:
    if registry.holds_registry(path):
        return versions.served_directory(path)
    if is_model(readable := directory.readable_path(path)):
        return readable
    if not run_directory.is_run(path):
        return None
    if is_model(finished := run_directory.finished_model(path)):
        return finished
    return run_directory.newest_checkpoint(path)
