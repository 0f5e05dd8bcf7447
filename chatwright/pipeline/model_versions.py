"""Begin the registry of a model, and add versions to it.

The directory of the versions is a training run, a folder of a recipe's stages, or a new folder for
a model that is elsewhere, such as a fetched one.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chatwright.checkpoint import model_directory, registry, run_directory, versions
from chatwright.checkpoint.registry import Registry, Version
from chatwright.commands import quoted
from chatwright.errors import InputError
from chatwright.pipeline.run_recipe import STAGE_FILE
from chatwright.pipeline.stage_kinds import STAGE_KINDS

SERVABLE = {kind.name for kind in STAGE_KINDS if kind.is_servable}


def versions_directory(model: Path) -> Path:
    """Return the directory of a model's versions, where they are or will be.

    This is the folder of a recipe's stages, also if the model is one of its stages; or a training
    run; or runs/NAME for a model that was fetched or imported, whose directory is left as it is.
    """
    if registry.holds_registry(model):
        return model
    if (model / STAGE_FILE).is_file():
        return model.resolve().parent
    is_only_model = model_directory.holds_model(model) and not run_directory.is_run(model)
    return Path("runs") / model.resolve().name if is_only_model else model


def open_registry(model: Path) -> Registry:
    """Return the registry of a model; if there is none, create one with this model.

    Args:
        model: A directory of versions, the folder of a recipe's stages, or a model.

    Raises:
        InputError: There is no finished model, or several; or another version than this model is
            served.
    """
    path = versions_directory(model)
    if not registry.holds_registry(path):
        is_model = model_directory.holds_model(model)
        found = model_directory.find(model if is_model else _last_stage(model))
        _require_finished(found)
        registry.add(path, describe(path, found))
    read = registry.read(path)
    if path != model and model_directory.find(model).resolve() != _served(read).resolve():
        raise InputError(
            f"{model}: {path} holds the versions of this model, and serves {read.current.name}.",
            remedy=f"To continue with the served version, give {quoted(path)}.",
            field="directory",
            value=str(model),
        )
    return read


def _served(read: Registry) -> Path:
    return read.path_of(read.current)


def _last_stage(path: Path) -> Path:
    """Return the stage of a recipe's folder that no other stage continues."""
    stages = [file.parent for file in sorted(path.glob(f"*/{STAGE_FILE}")) if _is_servable(file)]
    hashes = {stage: model_directory.weights_hash(stage) for stage in stages}
    parents = {_parent_of(stage) for stage in stages}
    last = [stage for stage in stages if hashes[stage] not in parents]
    if len(last) > 1:
        raise InputError(
            f"{path}: this directory holds several models.",
            remedy=f"Give one of them: {', '.join(map(quoted, last))}",
            field="directory",
            value=str(path),
        )
    return last[0] if last else path  # `find` explains that there is no model


def _is_servable(stage_file: Path) -> bool:
    try:
        record = json.loads(stage_file.read_text(encoding="utf-8"))
        is_finished = record["kind"] in SERVABLE and record["done"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return is_finished and model_directory.holds_model(stage_file.parent)


def _parent_of(stage: Path) -> str | None:
    notes = model_directory.find(stage) / model_directory.TRAINING_FILE
    try:
        parent = json.loads(notes.read_text(encoding="utf-8")).get("parent")
    except (OSError, ValueError):
        return None
    return None if parent is None else str(parent)


def _require_finished(model: Path) -> None:
    if run_directory.is_checkpoint(model):
        raise InputError(
            f"{model}: this is the checkpoint of an unfinished training, which later ones replace.",
            remedy="Finish the training first: run its command again.",
            field="directory",
            value=str(model),
        )


def describe(path: Path, model: Path, **lineage: Any) -> Version:
    """Describe the model directory `model` as the next version of the registry at `path`."""
    return versions.version_of(path, model, model_directory.weights_hash(model), **lineage)


def add(
    path: Path,
    model: Path,
    *,
    parent: Version,
    feedback: str,
    method: str,
    config: Mapping[str, Any],
) -> Version:
    """Add a trained model as the next version of the registry at `path`."""
    version = describe(
        path,
        model_directory.find(model),
        parent=parent.id,
        feedback=feedback,
        method=method,
        config=config,
    )
    registry.add(path, version)
    return version
