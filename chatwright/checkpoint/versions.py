"""Add models to a registry, and find the directory of the version that is served."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chatwright.checkpoint import directory, registry
from chatwright.checkpoint.model_files import is_model
from chatwright.checkpoint.registry import Version
from chatwright.commands import command_line
from chatwright.errors import InputError


def served_directory(path: Path) -> Path:
    """Return the model directory of the version that the registry at `path` serves.

    Raises:
        InputError: The registry was changed, or the version's directory holds another model.
    """
    versions = registry.read(path)
    version = versions.current
    model = versions.path_of(version)
    require_unchanged(path, version, model)
    return model


def served_description(path: Path) -> str:
    """Describe the version that the registry of a directory serves; "" without a registry."""
    if not registry.holds_registry(path):
        return ""
    version = registry.read(path).current
    return f"version {version.name}, {version.id[:12]}"


def require_unchanged(path: Path, version: Version, model: Path) -> None:
    """Raise InputError unless the directory `model` still holds this version.

    Only the manifest is compared; `directory.verify` compares every file with it.
    """
    is_there = is_model(model)
    has_manifest = (model / directory.MANIFEST).is_file()
    if is_there and (
        not has_manifest or directory.sha256(model / directory.MANIFEST) == version.id
    ):
        return
    raise InputError(
        f"{path}: the files of {version.name} in {model} were "
        f"{'replaced by another model' if is_there else 'moved or deleted'}.",
        remedy=f"Bring them back, or serve an earlier version: "
        f"{command_line('models', 'rollback', path)}. To begin a new history with the model that "
        f"is there now, move {path / registry.REGISTRY_FILE} away.",
        field="version",
        value=version.name,
    )


def version_of(
    path: Path,
    model: Path,
    weights: str,
    *,
    parent: str = "",
    feedback: str = "",
    method: str = "",
    config: Mapping[str, Any] | None = None,
) -> Version:
    """Describe the model directory `model` as the next version of the registry at `path`."""
    n_version = len(registry.read(path).versions) if registry.holds_registry(path) else 0
    manifest = model / directory.MANIFEST
    return Version(
        id=directory.sha256(manifest) if manifest.is_file() else weights,
        name=f"v{n_version + 1}",
        path=directory.relative_path(model, path),
        weights=weights,
        parent=parent,
        feedback=feedback,
        method=method,
        config=config or {},
    )
