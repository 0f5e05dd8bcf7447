"""/api/runs: training runs live and past; start, stop and resume a recipe."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.responses import Response

from chatwright.server.access.route_access import needs
from chatwright.server.errors import ApiError
from chatwright.server.jobs.plain_json import plain_json
from chatwright.server.request_body.request_parser import Nothing, ShortText, Strict
from chatwright.server.routes.store.store_route import add_route, body_of, json_response
from chatwright.server.service import Service
from chatwright.server.training_runs.training_runs import TrainingRuns


class Start(Strict):
    """The recipe to start."""

    recipe: ShortText
    is_smoke: bool = False
    """Train only a few steps of each stage."""


def add(app: FastAPI, service: Service) -> None:
    """Add the routes. Everyone who may chat sees the runs; an administrator changes them."""
    readers, admins = needs("chat"), needs("admin")

    def training_runs() -> TrainingRuns:
        if service.runs is None:
            message = "this server shows no runs: start it with --runs DIR"
            raise ApiError(404, message, code="no_runs")
        return service.runs

    def list_runs() -> Response:
        """List the runs, the recipes started from the page, and those that can be started."""
        runs = training_runs()
        recipes = [
            {"name": one.name, "about": one.about, "stages": one.stages} for one in runs.recipes()
        ]
        return _json({"runs": runs.summaries(), "started": runs.started(), "recipes": recipes})

    def read_run(id: str) -> Response:
        """Return a run's loss curves, sampled texts, results of sanity checks, and data sources."""
        return _json(training_runs().read(id))

    def read_report(id: str) -> Response:
        """Return the run's report as a file."""
        return report_response(training_runs().report(id))

    def start(body: Start = body_of(Start)) -> Response:
        """Start a recipe in a process of its own."""
        return _json(training_runs().start(body.recipe, body.is_smoke), 201)

    def stop(name: str, body: Nothing = body_of(Nothing)) -> Response:
        """Ask a recipe to save and stop."""
        return _json(training_runs().stop(name))

    def resume(name: str, body: Nothing = body_of(Nothing)) -> Response:
        """Continue a recipe that was stopped."""
        return _json(training_runs().resume(name))

    add_route(app, "GET", "/api/runs", list_runs, readers)
    add_route(app, "POST", "/api/runs", start, admins)
    add_route(app, "POST", "/api/runs/{name}/stop", stop, admins)
    add_route(app, "POST", "/api/runs/{name}/resume", resume, admins)
    # The id of a run has slashes, so the route with an ending comes first.
    add_route(app, "GET", "/api/runs/{id:path}/report", read_report, readers)
    add_route(app, "GET", "/api/runs/{id:path}", read_run, readers)


def report_response(content: bytes) -> Response:
    """Return an HTML report as a download: its inline styles break the page's content policy."""
    headers = {"content-disposition": 'attachment; filename="report.html"'}
    return Response(content, media_type="text/html; charset=utf-8", headers=headers)


def _json(value: Any, status: int = 200) -> Response:
    return json_response(plain_json(value), status)
