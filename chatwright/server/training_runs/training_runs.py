"""The runs of a folder, and recipes that the page starts, stops and resumes in it.

A recipe started from the page trains into FOLDER/RECIPE. The file `page_run.json` there holds what
was started, so that it can be resumed after the server was stopped, too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwright import config
from chatwright.checkpoint import directory, json_file
from chatwright.errors import InputError
from chatwright.pipeline.packaged_recipes import packaged_recipe, packaged_recipe_names
from chatwright.server.errors import ApiError
from chatwright.server.jobs.job_runner import JobRunner
from chatwright.server.training_runs.run_folder import (
    REPORT_FILE,
    RunRead,
    find_runs,
    state_of_files,
)

STARTED_FILE = "page_run.json"
PLACEHOLDERS = ("{data}", "{model}")
"""A recipe with one of these needs a path, which the page does not take."""


@dataclass(frozen=True)
class OfferedRecipe:
    """A recipe that the page can start."""

    name: str
    path: Path
    about: str
    stages: tuple[str, ...]


class TrainingRuns:
    """Lists runs, and starts recipes. Every thread may use it."""

    def __init__(self, folder: Path, jobs: JobRunner) -> None:
        """Show the runs below `folder`; recipes run as `jobs`."""
        self.folder = folder
        self._jobs = jobs
        self._known: dict[Path, tuple[object, RunRead]] = {}

    def summaries(self) -> list[dict[str, Any]]:
        """Return the summaries of the runs, the newest first."""
        summaries = [self._run_at(path).summary() for path in find_runs(self.folder)]
        for summary in summaries:
            summary["recipe"] = self._recipe_of(summary["id"])
        return summaries

    def read(self, id: str) -> dict[str, Any]:
        """Return everything about one run; ApiError (404) if there is none."""
        return self._run_at(self._path(id)).detail() | {"recipe": self._recipe_of(id)}

    def report(self, id: str) -> bytes:
        """Return the page report.html of a run; ApiError (404) if there is none yet."""
        file = self._path(id) / REPORT_FILE
        if not file.is_file():
            message = "this run has no report yet: it is written when the run ends"
            raise ApiError(404, message, code="no_report")
        return file.read_bytes()

    def recipes(self) -> list[OfferedRecipe]:
        """Return the recipes that need no further path: packaged ones, and those of the folder."""
        own = [*sorted(self.folder.glob("*.toml")), *sorted(self.folder.parent.glob("*.toml"))]
        packaged = [packaged_recipe(name) for name in packaged_recipe_names()]
        offered: dict[str, OfferedRecipe] = {}
        for path in (*own, *packaged):
            found = _offered(path)
            if found is not None:
                offered.setdefault(found.name, found)
        return list(offered.values())

    def started(self) -> list[dict[str, Any]]:
        """Return the recipes that were started from the page, with the state of their jobs."""
        files = sorted(self.folder.glob(f"*/{STARTED_FILE}"))
        return [self._started(file.parent.name) for file in files]

    def start(self, recipe: str, is_smoke: bool) -> dict[str, Any]:
        """Start a recipe; ApiError if there is none (404), or if something runs (409)."""
        found = next((one for one in self.recipes() if one.name == recipe), None)
        if found is None:
            message = "there is no such recipe: GET /api/runs lists all"
            raise ApiError(404, message, code="not_found", param="recipe")
        name = recipe + ("-smoke" if is_smoke else "")
        self._run(name, found, is_smoke)
        return self._started(name)

    def stop(self, name: str) -> dict[str, Any]:
        """Ask a recipe to save and stop; ApiError (404, 409) if this server does not run it."""
        self._require_started(name)
        job = self._jobs.get(name)
        if job is None or job.state != "running":
            message = f"this server is not running {name}: stop it where it was started"
            raise ApiError(409, message, code="not_running")
        job.stop()
        return self._started(name)

    def resume(self, name: str) -> dict[str, Any]:
        """Continue a recipe that was stopped; ApiError if it cannot be (404, 409)."""
        record = self._require_started(name)
        return self.start(str(record["recipe"]), bool(record["is_smoke"]))

    def _run_at(self, path: Path) -> RunRead:
        """Return a run; its files are read again only if they have changed."""
        stamp = state_of_files(path)
        known = self._known.get(path)
        if known is None or known[0] != stamp:
            known = self._known[path] = (stamp, RunRead(self.folder, path))
        return known[1]

    def _run(self, name: str, recipe: OfferedRecipe, is_smoke: bool) -> None:
        out = self.folder / name
        arguments = ["run", str(recipe.path), "--out", str(out), "--json"]
        self._jobs.start(name, [*arguments, "--smoke"] if is_smoke else arguments)
        out.mkdir(parents=True, exist_ok=True)
        record = {"recipe": recipe.name, "is_smoke": is_smoke}
        directory.write_text(out / STARTED_FILE, json.dumps(record))

    def _started(self, name: str) -> dict[str, Any]:
        record = self._require_started(name)
        job = self._jobs.get(name)
        return {"name": name, **record, "job": None if job is None else job.to_json()}

    def _require_started(self, name: str) -> dict[str, Any]:
        if Path(name).name != name:
            raise _not_found()
        try:
            return json_file.read_object(self.folder / name / STARTED_FILE)
        except InputError:
            message = f"{name!r:.100} was not started from the page"
            raise ApiError(404, message, code="not_found") from None

    def _recipe_of(self, id: str) -> str:
        """Return the name of the recipe's folder, if the page started it; otherwise ""."""
        name = id.split("/")[0]
        return name if (self.folder / name / STARTED_FILE).is_file() else ""

    def _path(self, id: str) -> Path:
        # Only listed runs can be named, so an id cannot lead out of the folder.
        for path in find_runs(self.folder):
            if path.relative_to(self.folder).as_posix() == id:
                return path
        raise _not_found()


def _offered(path: Path) -> OfferedRecipe | None:
    """Return the recipe in a file; None if it is no recipe, or needs more than a name."""
    try:
        text = path.read_text(encoding="utf-8")
        table = config.read_toml(path)
    except (OSError, ValueError):
        return None
    stages = table.get("stages")
    if not isinstance(stages, list) or any(mark in text for mark in PLACEHOLDERS):
        return None
    name = path.parent.resolve().name if path.name == "recipe.toml" else path.stem
    return OfferedRecipe(name, path, str(table.get("about", "")), tuple(map(str, stages)))


def _not_found() -> ApiError:
    return ApiError(404, "there is no such run", code="not_found")
