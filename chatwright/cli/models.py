"""Commands `chatwright models`: the versions of a model, and which one is served."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatwright.commands import command_line

if TYPE_CHECKING:
    from chatwright.checkpoint.registry import Event, Registry, Version

app = typer.Typer(
    no_args_is_help=True,
    help="List the versions of a model, and choose the one that is served.",
)

Directory = Annotated[
    Path, typer.Argument(help="The directory of the versions, as given to chatwright improve.")
]
VersionName = Annotated[
    str, typer.Argument(help="Name of the version, such as v2, or the beginning of its id.")
]
Reason = Annotated[str, typer.Option("--reason", help="Why; recorded in the registry.")]


@app.command("list")
def list_versions(
    directory: Directory,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per version and line.")
    ] = False,
) -> None:
    """Show the versions as a tree: each below the version that its training started from."""
    from chatwright.checkpoint import registry
    from chatwright.cli.output import print_json

    read = registry.read(directory)
    if as_json:
        for version in read.versions:
            print_json(_summary(read, version))
        return
    for line in _tree(read):
        print(line)
    print(f"\nserved: {read.current.name}, {read.path_of(read.current)}")


@app.command("show")
def show(directory: Directory, version: VersionName = "") -> None:
    """Show where a version comes from, and what was decided about it; by default the served one."""
    from chatwright.checkpoint import registry
    from chatwright.cli.figures import figure_lines

    read = registry.read(directory)
    shown = read.version(version) if version else read.current
    parent = read.version(shown.parent).name if shown.parent else "none; it is the first version"
    rows = {
        "version": f"{shown.name}, {read.state(shown)}",
        "id": shown.id,
        "model": str(read.path_of(shown)),
        "weights": shown.weights,
        "parent": parent,
        "feedback": shown.feedback or "none",
        "method": shown.method or "none",
    }
    for name, value in rows.items():
        print(f"{name:10} {value}")
    if shown.config:
        print("settings")
        for line in figure_lines(shown.config):
            print(f"  {line}")
    for event in read.events_of(shown):
        print(_sentence(event))
        for line in figure_lines(event.metrics):
            print(f"  {line}")


@app.command("promote")
def promote(
    directory: Directory,
    version: VersionName,
    reason: Reason = "",
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Serve a version that was refused or never compared; needs --reason."
        ),
    ] = False,
) -> None:
    """Serve a version from now on. A running server switches to it between two replies."""
    from chatwright.checkpoint import served_version

    promoted = served_version.promote(directory, version, reason, force=force)
    print(
        f"{promoted.name} is served from now on. "
        f"Undo it: {command_line('models', 'rollback', directory)}"
    )


@app.command("rollback")
def rollback(
    directory: Directory,
    version: Annotated[
        str, typer.Argument(help="An earlier version; by default the one served before.")
    ] = "",
    reason: Reason = "",
) -> None:
    """Serve the version before the current one again. No version is deleted."""
    from chatwright.checkpoint import served_version

    served = served_version.rollback(directory, version, reason)
    print(
        f"{served.name} is served again. "
        f"List the versions: {command_line('models', 'list', directory)}"
    )


def _tree(read: "Registry", parent: str = "", indent: str = "") -> list[str]:
    """Return one line per version, each below its parent."""
    children = [version for version in read.versions if version.parent == parent]
    lines: list[str] = []
    for number, version in enumerate(children, 1):
        is_last = number == len(children)
        branch = ("└─ " if is_last else "├─ ") if parent else ""
        lines.append(f"{indent}{branch}{_line(read, version)}")
        deeper = indent + (("   " if is_last else "│  ") if parent else "")
        lines += _tree(read, version.id, deeper)
    return lines


def _line(read: "Registry", version: "Version") -> str:
    state = read.state(version)
    mark = "*" if state == "served" else " "
    events = read.events_of(version)
    parts = [f"{version.name}{mark}", state, version.method, f"id {version.id[:8]}"]
    if events and "win_rate" in events[-1].metrics:
        parts.append(_win_rate(events[-1]))
    return "  ".join(filter(None, parts))


def _win_rate(event: "Event") -> str:
    from chatwright.evaluation.figures import with_interval

    return f"win rate {with_interval('win_rate', dict(event.metrics))}"


def _sentence(event: "Event") -> str:
    kind = event.kind.replace("_", " ") + (" by force" if event.is_forced else "")
    reason = f": {event.reason}" if event.reason else ""
    return f"{event.time}  {kind} by {event.by}{reason}"


def _summary(read: "Registry", version: "Version") -> dict[str, object]:
    from dataclasses import asdict

    events = [asdict(event) for event in read.events_of(version)]
    return asdict(version) | {"state": read.state(version), "events": events}
