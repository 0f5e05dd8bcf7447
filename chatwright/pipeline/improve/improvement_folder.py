"""The folder of one improvement, DIR/improve/N, which an interrupted one continues.

An improvement is identified by its feedback, its settings and the model it starts from. The same
command finds the folder of the same improvement; anything else gets a new one.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from chatwright.checkpoint import directory
from chatwright.checkpoint.registry import Registry, Version

FOLDER = "improve"
IDENTITY_FILE = "improve.json"


@dataclass(frozen=True)
class ImprovementFolder:
    """The folder of one improvement."""

    number: int
    folder: Path
    identity: str
    """Hash of what identifies it."""


def open_improvement_folder(versions: Path, identity: str) -> ImprovementFolder:
    """Return the folder of the improvement with this identity; create it if there is none."""
    begun = list_improvement_folders(versions)
    for each in begun:
        if each.identity == identity:
            return each
    number = 1 + max((each.number for each in begun), default=0)
    folder = versions / FOLDER / str(number)
    folder.mkdir(parents=True, exist_ok=True)
    directory.write_text(folder / IDENTITY_FILE, json.dumps({"identity": identity}))
    return ImprovementFolder(number, folder, identity)


def list_improvement_folders(versions: Path) -> list[ImprovementFolder]:
    """Return the folders of the improvements that were begun, oldest first."""
    begun = []
    for file in (versions / FOLDER).glob(f"*/{IDENTITY_FILE}"):
        identity = json.loads(file.read_text(encoding="utf-8"))["identity"]
        begun.append(ImprovementFolder(int(file.parent.name), file.parent, identity))
    return sorted(begun, key=lambda each: each.number)


def version_trained_in(registry: Registry, folder: Path) -> Version | None:
    """Return the version that was trained in this folder, or None."""
    inside = folder.resolve()
    for version in registry.versions:
        if registry.path_of(version).resolve().is_relative_to(inside):
            return version
    return None
