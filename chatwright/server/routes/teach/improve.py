"""/api/improve and /api/feedback/summary: what the feedback would train, and training on it."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from chatwright.server.access.route_access import caller_of, needs
from chatwright.server.jobs.plain_json import plain_json
from chatwright.server.request_body.request_parser import Nothing, Strict
from chatwright.server.routes.store.store_route import add_route, body_of, json_response
from chatwright.server.routes.teach.runs import report_response
from chatwright.server.routes.teach.versions import improvement_loop
from chatwright.server.service import Service


class Improve(Strict):
    """How the model learns from the feedback."""

    method: Literal["auto", "dpo", "kto", "ppo", "grpo"] = "auto"
    any_weights: bool = False
    """Use feedback on replies of models that are not versions of this one too."""


def add(app: FastAPI, service: Service) -> None:
    """Add the routes."""
    readers, admins = needs("chat"), needs("admin")

    def summary(request: Request) -> Response:
        """Return counts, raters and agreement; the raters one by one only to administrators."""
        found = improvement_loop(service).summary()
        report = found["report"]
        is_admin = "admin" in caller_of(request).scopes
        shown = {**report, "n_raters": len(report["raters"])}
        return _json({**found, "report": shown if is_admin else {**shown, "raters": []}})

    def start(body: Improve = body_of(Improve)) -> Response:
        """Start `chatwright improve` in a process of its own."""
        return _json(improvement_loop(service).improve(body.method, body.any_weights), 201)

    def state() -> Response:
        """Return the progress of the last improvement, and its decision."""
        return _json(improvement_loop(service).state())

    def stop(body: Nothing = body_of(Nothing)) -> Response:
        """Ask the improvement to save and stop; without new ratings, a start continues it."""
        return _json(improvement_loop(service).stop())

    def report() -> Response:
        """Return the report of the comparison as a file."""
        return report_response(improvement_loop(service).report())

    add_route(app, "GET", "/api/feedback/summary", summary, readers)
    add_route(app, "GET", "/api/improve", state, readers)
    add_route(app, "POST", "/api/improve", start, admins)
    add_route(app, "POST", "/api/improve/stop", stop, admins)
    add_route(app, "GET", "/api/improve/report", report, readers)


def _json(value: Any, status: int = 200) -> Response:
    return json_response(plain_json(value), status)
