"""The registry: the versions of one model, where each comes from, and which one is served.

    DIR/registry.jsonl   one line per event: added, promoted, preferred, refused, rolled_back

A version is a model directory inside DIR or elsewhere. Wherever a command takes a model, DIR means
the served version. Events are only appended, and versions are never deleted.
"""

import getpass
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from chatwright.checkpoint import chained_log
from chatwright.checkpoint.lock import writer_lock
from chatwright.commands import command_line
from chatwright.errors import InputError

REGISTRY_FILE = "registry.jsonl"
LOCK_SECONDS = 10.0
"""Time to wait for another process that is writing into the folder."""

Decision = Literal["promoted", "preferred", "refused", "rolled_back"]
State = Literal["served", "served before", "refused", "not decided"]


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of the model."""

    id: str
    """SHA-256 of the manifest of its directory; of its weights if it has no manifest."""
    name: str
    """v1, v2 and so on, in the order in which they were added."""
    path: str
    """Its model directory, relative to the directory of the registry, with slashes."""
    weights: str
    """SHA-256 of its weights, as replies name the model that wrote them."""
    parent: str = ""
    """The id of the version that its training started from; "" for the first."""
    feedback: str = ""
    """SHA-256 of the feedback snapshot that it was trained on; "" if there is none."""
    method: str = ""
    """How it was trained: dpo, ppo and so on."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The settings of its training."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of the registry after a version was added: a decision about it."""

    kind: Decision
    version: str
    """The id of the version."""
    time: str
    """ISO 8601, UTC."""
    by: str
    """Who decided: the user of the operating system, or the administrator on the page."""
    reason: str = ""
    is_forced: bool = False
    """Whether a refused version was promoted in spite of the refusal."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """The measurements behind the decision, such as the win rate with its interval."""


@dataclass(frozen=True)
class Registry:
    """The contents of a registry."""

    directory: Path
    versions: tuple[Version, ...]
    events: tuple[Event, ...]

    @property
    def served(self) -> tuple[Version, ...]:
        """The versions a rollback leads back through; the last one is served now."""
        stack = [self.versions[0]]
        for event in self.events:
            version = self.version(event.version)
            if event.kind == "promoted":
                stack.append(version)
            elif event.kind == "rolled_back":
                while stack[-1] != version:
                    stack.pop()
        return tuple(stack)

    @property
    def current(self) -> Version:
        """The version that is served."""
        return self.served[-1]

    def version(self, name: str) -> Version:
        """Return a version by its name, its id or the beginning of its id."""
        found = [v for v in self.versions if name in (v.name, v.id)]
        if not found and len(name) >= 6:
            found = [v for v in self.versions if v.id.startswith(name)]
        if len(found) == 1:
            return found[0]
        raise InputError(
            f"{self.directory}: there is no version {name!r}.",
            remedy=f"Choose one of {', '.join(v.name for v in self.versions)}.",
            field="version",
            value=name,
        )

    def path_of(self, version: Version) -> Path:
        """Return the model directory of a version."""
        return self.directory / version.path

    def events_of(self, version: Version) -> tuple[Event, ...]:
        """Return what was decided about a version, oldest first."""
        return tuple(event for event in self.events if event.version == version.id)

    def state(self, version: Version) -> State:
        """Return whether a version is served, was served, was refused, or awaits a decision."""
        kinds = {event.kind for event in self.events_of(version)}
        if version == self.current:
            return "served"
        if "promoted" in kinds or version == self.versions[0]:
            return "served before"
        return "refused" if "refused" in kinds else "not decided"


def holds_registry(path: Path) -> bool:
    """Return whether `path` is the directory of a registry."""
    return (path / REGISTRY_FILE).is_file()


def read(path: Path) -> Registry:
    """Read the registry of the directory `path`.

    Raises:
        InputError: There is none, or its file was changed by something else.
    """
    records = chained_log.read(path / REGISTRY_FILE)
    if not records:
        raise InputError(
            f"{path}: this directory has no versions of a model.",
            remedy="The first version is recorded when you improve the model: "
            + command_line("improve", path, "--feedback", "SNAPSHOT"),
            field="directory",
            value=str(path),
        )
    versions: list[Version] = []
    events: list[Event] = []
    for record in records:
        kind = record["kind"]
        if kind == "added":
            versions.append(Version(**record["version"]))
        else:
            events.append(_event(record))
    return Registry(path, tuple(versions), tuple(events))


def _event(record: dict[str, Any]) -> Event:
    """Return an event; earlier files call its metrics "figures"."""
    metrics = record.pop("figures", None)
    return Event(**record) if metrics is None else Event(**record, metrics=metrics)


def add(path: Path, version: Version) -> None:
    """Record a version. The first one of a registry is served, the others are not yet."""
    with writer_lock(path, LOCK_SECONDS):
        if holds_registry(path):
            _require_new(read(path), version)
        record = {"kind": "added", "time": _now(), "by": _user(), "version": asdict(version)}
        chained_log.append(path / REGISTRY_FILE, record)


def promote(
    path: Path,
    name: str,
    reason: str,
    metrics: Mapping[str, Any] | None = None,
    *,
    is_forced: bool = False,
    by: str = "",
) -> Version:
    """Serve a version from now on; `by` says who decided, by default the system's user.

    Raises:
        InputError: It is served already, or it was refused and `is_forced` is not set.
    """
    with writer_lock(path, LOCK_SECONDS):
        registry = read(path)
        version = registry.version(name)
        state = registry.state(version)
        if state == "served":
            raise _already_served(path, version)
        if state == "refused" and not is_forced:
            raise _refused(registry, version)
        is_forced = is_forced and state == "refused"
        _append(path, version, "promoted", reason, metrics, is_forced=is_forced, by=by)
    return version


def refuse(path: Path, name: str, reason: str, metrics: Mapping[str, Any] | None = None) -> None:
    """Record that a version must not be served, and why."""
    with writer_lock(path, LOCK_SECONDS):
        _append(path, read(path).version(name), "refused", reason, metrics)


def prefer(path: Path, name: str, reason: str, metrics: Mapping[str, Any] | None = None) -> None:
    """Record that users' votes prefer a version to the served one, and the votes.

    The version is not served yet, so its state stays "not decided".
    """
    with writer_lock(path, LOCK_SECONDS):
        _append(path, read(path).version(name), "preferred", reason, metrics)


def rollback(path: Path, name: str = "", reason: str = "", by: str = "") -> Version:
    """Serve the version that was served before the current one, or an earlier one by its name.

    `by` says who decided, by default the system's user.

    Raises:
        InputError: No such version was served before.
    """
    with writer_lock(path, LOCK_SECONDS):
        registry = read(path)
        earlier = registry.served[:-1]
        target = registry.version(name) if name else (earlier or (None,))[-1]
        if target is None or target not in earlier:
            raise InputError(
                f"{path}: a rollback from {registry.current.name} cannot lead to "
                f"{'any version' if target is None else target.name}: it goes back through "
                f"{', '.join(v.name for v in earlier) or 'none'}.",
                remedy=f"List the versions: {command_line('models', 'list', path)}",
                field="version",
                value=name,
            )
        _append(path, target, "rolled_back", reason, by=by)
    return target


def _append(
    path: Path,
    version: Version,
    kind: Decision,
    reason: str,
    metrics: Mapping[str, Any] | None = None,
    is_forced: bool = False,
    by: str = "",
) -> None:
    event = Event(
        kind=kind,
        version=version.id,
        time=_now(),
        by=by or _user(),
        reason=reason,
        is_forced=is_forced,
        metrics=metrics or {},
    )
    chained_log.append(path / REGISTRY_FILE, asdict(event))


def _require_new(registry: Registry, version: Version) -> None:
    if any(version.id == other.id or version.name == other.name for other in registry.versions):
        raise InputError(
            f"{registry.directory}: {version.path} is a version of this model already.",
            remedy=f"List them: {command_line('models', 'list', registry.directory)}",
            field="version",
            value=version.id,
        )


def _already_served(path: Path, version: Version) -> InputError:
    return InputError(
        f"{path}: {version.name} is the version that is served already.",
        remedy=f"List the others: {command_line('models', 'list', path)}",
        field="version",
        value=version.name,
    )


def _refused(registry: Registry, version: Version) -> InputError:
    refusal = [event for event in registry.events_of(version) if event.kind == "refused"][-1]
    words = ("models", "promote", registry.directory, version.name, "--force", "--reason", "TEXT")
    return InputError(
        f"{registry.directory}: {version.name} was refused: {refusal.reason}",
        remedy=f"To serve it nevertheless, say why: {command_line(*words)}",
        field="version",
        value=version.name,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"
