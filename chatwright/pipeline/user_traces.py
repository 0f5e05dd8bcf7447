"""Find snapshots of feedback with a user's ratings, and the models trained on them.

A deletion in the store does not reach them, so `chatwright forget` names them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from chatwright.checkpoint import registry
from chatwright.checkpoint.registry import Version
from chatwright.data.snapshot import is_snapshot, read_snapshot


@dataclass(frozen=True)
class TrainedVersion:
    """A version of a model that learned from a user, or comes from one that did."""

    directory: Path
    """The directory of the registry."""
    version: Version


@dataclass(frozen=True)
class Traces:
    """What a user's feedback went into."""

    snapshots: tuple[Path, ...]
    versions: tuple[TrainedVersion, ...]


def find_traces(folder: Path, rater: str, exported: Collection[str] = ()) -> Traces:
    """Search a folder with its subfolders.

    Args:
        folder: Where snapshots and registries are.
        rater: The user's id in the store, which snapshots name as the rater.
        exported: Hashes of snapshots that the store recorded for this user; they may be gone.
    """
    hashes = set(exported)
    snapshots = []
    for path in sorted(folder.rglob("*.jsonl")):
        if not is_snapshot(path):
            continue
        snapshot = read_snapshot(path)
        if snapshot.sha256 in hashes or any(item.rater == rater for item in snapshot.feedback):
            snapshots.append(path)
            hashes.add(snapshot.sha256)
    versions = [
        TrainedVersion(directory, version)
        for directory in sorted({folder, *(path for path in folder.rglob("*") if path.is_dir())})
        if registry.holds_registry(directory)
        for version in _trained_on(registry.read(directory), hashes)
    ]
    return Traces(tuple(snapshots), tuple(versions))


def _trained_on(read: registry.Registry, hashes: Collection[str]) -> Iterator[Version]:
    """Yield the versions trained on these snapshots, and all that come from them."""
    trained: set[str] = set()
    for version in read.versions:  # parents come first
        if version.feedback in hashes or version.parent in trained:
            trained.add(version.id)
            yield version
