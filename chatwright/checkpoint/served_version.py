"""Decide which version of a registry is served, by a user's choice.

The files of a version are checked before it is served. Every decision is recorded in the registry
with its reason and with who made it.
"""

from pathlib import Path

from chatwright.checkpoint import directory, registry, versions
from chatwright.checkpoint.registry import Registry, Version
from chatwright.commands import command_line
from chatwright.errors import InputError


def promote(path: Path, name: str, reason: str, *, force: bool = False, by: str = "") -> Version:
    """Serve a version by decision of the user. Its files are checked first.

    A version that users' votes preferred in a canary needs no force.

    Args:
        path: The directory of the versions.
        name: The version's name, or the beginning of its id.
        reason: Why; recorded in the registry.
        force: Serve a version that was refused or never compared.
        by: Who decides; by default the user of the operating system.

    Raises:
        InputError: The version was refused or never compared, and `force` is not set; or no reason
            was given; or its files have changed.
    """
    read = registry.read(path)
    version = read.version(name)
    _require_intact(read, version)
    is_preferred = any(event.kind == "preferred" for event in read.events_of(version))
    if read.state(version) == "not decided" and not is_preferred and not force:
        words = ("models", "promote", path, version.name, "--force", "--reason", "TEXT")
        raise InputError(
            f"{path}: {version.name} was never compared with the version before it.",
            remedy=f"To serve it nevertheless, say why: {command_line(*words)}",
            field="version",
            value=version.name,
        )
    if force and not reason:
        raise InputError(
            f"{path}: {version.name} can only be promoted by force with a reason.",
            remedy="Add --reason TEXT; it is recorded.",
            field="--reason",
            value=reason,
        )
    return registry.promote(path, version.id, reason, is_forced=force, by=by)


def rollback(path: Path, name: str = "", reason: str = "", by: str = "") -> Version:
    """Serve an earlier version again. Its files are checked first."""
    read = registry.read(path)
    earlier = [read.version(name)] if name else list(read.served[-2:-1])
    for version in earlier:
        _require_intact(read, version)
    return registry.rollback(path, name, reason, by)


def _require_intact(read: Registry, version: Version) -> None:
    model = read.path_of(version)
    versions.require_unchanged(read.directory, version, model)
    if (model / directory.MANIFEST).is_file():
        directory.verify(model)
