"""The versions of the served model as JSON: lineage, states, and what was decided about each."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from chatwright.checkpoint import registry
from chatwright.checkpoint.registry import Registry, Version
from chatwright.server.jobs.plain_json import plain_json


def versions_to_json(directory: Path) -> dict[str, Any]:
    """Return the versions in the order in which they were added; none without a registry."""
    if not registry.holds_registry(directory):
        return {"served": None, "can_roll_back_to": [], "versions": []}
    read = registry.read(directory)
    return {
        "served": read.current.name,
        "can_roll_back_to": [version.name for version in read.served[:-1]],
        "versions": [_to_json(read, version) for version in read.versions],
    }


def last_decision(directory: Path, name: str) -> dict[str, Any] | None:
    """Return what was last decided about a version; None if nothing was."""
    read = registry.read(directory)
    events = read.events_of(read.version(name))
    return _plain(events[-1]) if events else None


def _to_json(read: Registry, version: Version) -> dict[str, Any]:
    parent = read.version(version.parent).name if version.parent else None
    return {
        "name": version.name,
        "id": version.id,
        "weights": version.weights,
        "parent": parent,
        "method": version.method,
        "feedback": version.feedback,
        "state": read.state(version),
        "events": [_plain(event) for event in read.events_of(version)],
    }


def _plain(event: registry.Event) -> dict[str, Any]:
    found: dict[str, Any] = plain_json(asdict(event))
    return found
