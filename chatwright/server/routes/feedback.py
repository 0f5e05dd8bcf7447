"""POST /v1/feedback: thumbs, corrections and rankings of replies, by the replies' ids."""

from __future__ import annotations

from fastapi import FastAPI, Request
from pydantic import RootModel
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from chatwright.server.access.route_access import caller_of, needs
from chatwright.server.errors import ApiError
from chatwright.server.feedback.feedback_request import FeedbackRequest, to_feedback
from chatwright.server.request_body.request_parser import parse_request
from chatwright.server.service import Service


class FeedbackBody(RootModel[FeedbackRequest]):
    """The body of the request."""


def add(app: FastAPI, service: Service) -> None:
    """Add the route."""

    @app.post("/v1/feedback", dependencies=[needs("chat")])
    async def feedback(http: Request) -> Response:
        """Store feedback on a reply; it is on disk before the answer."""
        collector = service.feedback
        if collector is None:
            message = "this server keeps no feedback: start it with --feedback FILE"
            raise ApiError(404, message, code="feedback_not_kept")
        body = parse_request(await http.body(), FeedbackBody).root
        given = to_feedback(body, collector.memory, caller_of(http).user)
        canary_state = await run_in_threadpool(collector.take, given)
        answer = {"object": "feedback", "kind": body.kind, "stored": True}
        return JSONResponse(answer if canary_state is None else {**answer, "canary": canary_state})
