"""/api/versions: the versions of the served model; promote one, or roll back to one."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI
from pydantic import Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from chatwright.server.access.route_access import caller_of, needs
from chatwright.server.errors import ApiError
from chatwright.server.request_body.request_parser import Nothing, Strict
from chatwright.server.routes.store.store_route import add_route, body_of, json_response
from chatwright.server.service import Service
from chatwright.server.teach.improvement_loop import ImprovementLoop
from chatwright.server.teach.versions import versions_to_json


class StartCanary(Strict):
    """How many of the requests a candidate answers."""

    share: Annotated[float, Field(ge=0.01, le=0.9)] = 0.1


class Reason(Strict):
    """Why a version is served from now on."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000)]


def add(app: FastAPI, service: Service) -> None:
    """Add the routes. An administrator decides, with a reason that the registry keeps."""
    readers, admins = needs("chat"), needs("admin")

    def read() -> Response:
        """List the versions, and say how the canary is doing."""
        return answer(improvement_loop(service))

    def answer(loop: ImprovementLoop) -> Response:
        feedback = service.feedback
        canary = None if feedback is None else feedback.canary
        can_try = feedback is not None and loop.start_canary is not None
        found = versions_to_json(loop.directory) | {"can_start_canary": can_try}
        if canary is None:
            return json_response(found | {"canary": None})
        names = {version["weights"]: version["name"] for version in found["versions"]}
        metrics = canary.metrics() | {"version": names.get(canary.candidate)}
        return json_response(found | {"canary": metrics})

    def promote(request: Request, name: str, body: Reason = body_of(Reason)) -> Response:
        """Serve a version from now on; open replies end with the model they began with."""
        loop = improvement_loop(service)
        loop.promote(name, body.reason, _who(request))
        return answer(loop)

    def rollback(request: Request, name: str, body: Reason = body_of(Reason)) -> Response:
        """Serve an earlier version again."""
        loop = improvement_loop(service)
        loop.rollback(name, body.reason, _who(request))
        return answer(loop)

    def start_canary(name: str, body: StartCanary = body_of(StartCanary)) -> Response:
        """Let a version answer a share of the requests until thumbs decide about it."""
        loop = improvement_loop(service)
        if service.feedback is None or loop.start_canary is None:
            message = "thumbs decide about a canary: start the server with --feedback FILE"
            raise ApiError(404, message, code="feedback_not_kept")
        if service.has_open_canary:
            message = "a canary is running: end it first"
            raise ApiError(409, message, code="canary_running")
        loop.start_canary(name, body.share)
        return answer(loop)

    def end_canary(body: Nothing = body_of(Nothing)) -> Response:
        """Let the served version answer all requests again; nothing is decided."""
        loop = improvement_loop(service)
        if not service.has_open_canary:
            raise ApiError(409, "no canary is running", code="not_running")
        service.end_canary()
        return answer(loop)

    add_route(app, "GET", "/api/versions", read, readers)
    add_route(app, "POST", "/api/versions/{name}/canary", start_canary, admins)
    add_route(app, "POST", "/api/canary/end", end_canary, admins)
    add_route(app, "POST", "/api/versions/{name}/promote", promote, admins)
    add_route(app, "POST", "/api/versions/{name}/rollback", rollback, admins)


def improvement_loop(service: Service) -> ImprovementLoop:
    """Return the loop of the served model; ApiError (404) if the server has none."""
    if service.teach is None:
        message = "this server serves one model without versions: serve a directory of versions"
        raise ApiError(404, message, code="no_versions")
    return service.teach


def _who(request: Request) -> str:
    """Return who decides, for the registry; "" is the user of the operating system."""
    user = getattr(request.state, "user", None)
    return caller_of(request).user if user is None else str(user.name)
