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
ROUND_FILE = "improve.json"


@dataclass(frozen=True)
class Round:
    """One improvement."""

    number: int
    folder: Path
    identity: str
    """Hash of what identifies it."""


def open_round(versions: Path, identity: str) -> Round:
    """Return the round with this identity, or begin a new one."""
    rounds = list_rounds(versions)
    for found in rounds:
        if found.identity == identity:
            return found
    number = 1 + max((found.number for found in rounds), default=0)
    folder = versions / FOLDER / str(number)
    folder.mkdir(parents=True, exist_ok=True)
    directory.write_text(folder / ROUND_FILE, json.dumps({"identity": identity}))
    return Round(number, folder, identity)


def list_rounds(versions: Path) -> list[Round]:
    """Return the rounds that were begun, oldest first."""
    rounds = []
    for file in (versions / FOLDER).glob(f"*/{ROUND_FILE}"):
        identity = json.loads(file.read_text(encoding="utf-8"))["identity"]
        rounds.append(Round(int(file.parent.name), file.parent, identity))
    return sorted(rounds, key=lambda found: found.number)


def version_of_round(registry: Registry, folder: Path) -> Version | None:
    """Return the version that was trained in the folder of a round, or None."""
    inside = folder.resolve()
    for version in registry.versions:
        if registry.path_of(version).resolve().is_relative_to(inside):
            return version
    return None
