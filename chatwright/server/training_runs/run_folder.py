"""Read the training runs below a folder: state, curves, samples and checks of each.

A run's id is its path below the folder, with slashes. Files are read while a training writes them:
an unfinished last line of the log is ignored.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from chatwright.checkpoint import json_file, run_directory
from chatwright.checkpoint.lock import is_being_written
from chatwright.errors import InputError
from chatwright.training import metrics

RunState = Literal["running", "finished", "stopped"]
METRICS_FILE = "metrics.jsonl"
REPORT_FILE = "report.html"
STAGE_FILE = "stage.json"
NOTES_FILE = "training.json"
PRIVATE_FILE = "own_model.json"
"""A folder with this file is a user's own; only this user sees the runs in it."""
MAX_DEPTH = 5
MAX_RUNS = 500
MAX_POINTS = 1_000
"""Points of one curve; of a longer one, points at equal distances are sent."""
NO_CURVE = ("step", "samples", "tokens", "seconds")


def find_runs(folder: Path) -> list[Path]:
    """Return the directories of the runs below a folder, the newest log first."""
    found = [path for path in _walk(folder, MAX_DEPTH) if (path / METRICS_FILE).is_file()]
    found.sort(key=lambda path: (path / METRICS_FILE).stat().st_mtime, reverse=True)
    return found[:MAX_RUNS]


def state_of_files(path: Path) -> tuple[tuple[int, int], ...]:
    """Return times of change and sizes of a run's files; equal if nothing has changed."""
    notes = run_directory.finished_model(path) / NOTES_FILE
    found = []
    for file in (path / METRICS_FILE, path / run_directory.RUN_FILE, path / STAGE_FILE, notes):
        try:
            status = file.stat()
        except OSError:  # it is not written yet
            found.append((0, 0))
        else:
            found.append((status.st_mtime_ns, status.st_size))
    return tuple(found)


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    """Yield the folders that may be runs; models and checkpoints are not entered."""
    try:
        entries = [entry for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    except OSError:  # it was moved meanwhile, or may not be read
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name == run_directory.CHECKPOINTS:
            continue
        path = Path(entry.path)
        if (path / PRIVATE_FILE).is_file():
            continue
        yield path
        if depth > 1:
            yield from _walk(path, depth - 1)


class RunRead:
    """What the files of one run say."""

    def __init__(self, folder: Path, path: Path) -> None:
        """Read the run in the directory `path` below `folder`."""
        self.path = path
        self.id = path.relative_to(folder).as_posix()
        self.records = metrics.read(path / METRICS_FILE)
        self.settings = _object(path / run_directory.RUN_FILE)
        notes_file = run_directory.finished_model(path) / NOTES_FILE
        self.notes = _object(notes_file)
        self.updated = (path / METRICS_FILE).stat().st_mtime

    @property
    def state(self) -> RunState:
        """Whether the run is being trained, is finished, or was stopped."""
        if self.notes:
            return "finished"
        return "running" if is_being_written(self.path) else "stopped"

    def summary(self) -> dict[str, Any]:
        """Return name, stage, step, steps, time and state."""
        last = max((record["step"] for record in self.records), default=0)
        seconds = max((record.get("seconds", 0.0) for record in self.records), default=0.0)
        steps = self._steps(last)
        state = self.state
        left = seconds / last * (steps - last) if last and state == "running" else None
        return {
            "id": self.id,
            "stage": self._stage(),
            "state": state,
            "step": last,
            "steps": steps,
            "seconds": round(seconds, 1),
            "seconds_left": left,
            "updated": int(self.updated),
            "loss": self._last("validation_loss") or self._last("loss"),
            "has_report": (self.path / REPORT_FILE).is_file(),
        }

    def detail(self) -> dict[str, Any]:
        """Return the summary with curves, samples by step, checks, data and settings."""
        return self.summary() | {
            "curves": _curves(self.records),
            "samples": [
                {"step": record["step"], "samples": record["samples"]}
                for record in self.records
                if record.get("samples")
            ],
            "tokens": self._last("tokens"),
            "data": self.settings.get("data", {}),
            "model": self.settings.get("model", {}),
            "checks": self._checks(),
            "figures": self.notes.get("figures", {}),
            "warning": (self.notes.get("outcome") or {}).get("warning", ""),
        }

    def _steps(self, last: int) -> int:
        loop = self.settings.get("loop")
        steps = loop.get("steps") if isinstance(loop, Mapping) else None
        # A run with early stopping ends before the planned number.
        return steps if isinstance(steps, int) and not self.notes else last

    def _stage(self) -> str:
        kind = _object(self.path / STAGE_FILE).get("kind") or self.notes.get("stage", "")
        return str(kind)

    def _last(self, name: str) -> float | None:
        values = (record[name] for record in reversed(self.records) if name in record)
        value = next(values, None)
        return value if isinstance(value, int | float) else None

    def _checks(self) -> dict[str, float]:
        """Return what the checks of a finished run measured; empty before its end."""
        names = ("first_loss", "weight_change", "trained_tokens", "parameters")
        return {name: self.notes[name] for name in names if name in self.notes}


def _curves(records: Sequence[Mapping[str, Any]]) -> dict[str, list[list[float]]]:
    """Return the points (step, value) of every figure in the log, by its name."""
    curves: dict[str, list[list[float]]] = {}
    for record in records:
        for name, value in record.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if name not in NO_CURVE and is_number:
                curves.setdefault(name, []).append([record["step"], value])
    return {name: _thinned(points) for name, points in curves.items()}


def _thinned(points: list[list[float]]) -> list[list[float]]:
    """Return at most MAX_POINTS points; the last one is among them."""
    stride = -(-len(points) // MAX_POINTS)
    return points if stride <= 1 else points[::-1][::stride][::-1]


def _object(file: Path) -> dict[str, Any]:
    """Return the JSON object in a file; empty if there is none."""
    try:
        return json_file.read_object(file)
    except InputError:
        return {}
