"""The web application for one machine: OpenAI's chat API, the page, and the build status.

There are no accounts: everyone who can use this machine can use the model. `guard.py` refuses
requests from other web pages. Routes only translate HTTP; one thread (`engine_thread.py`) calls the
model. Nothing is stored, and no text of a conversation is logged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from chatwright.server.chat_completions import complete_chat
from chatwright.server.engine_thread import EngineThread, Limits
from chatwright.server.errors import (
    ApiError,
    handle_api_error,
    handle_http_error,
    handle_unexpected_error,
)
from chatwright.server.guard import Guard
from chatwright.server.pending_reply import Replier
from chatwright.server.request_parser import parse_request
from chatwright.server.status import Status

PAGE = Path(__file__).parent / "page"
PAGE_FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""File and media type by path. No other file can be reached."""


class Service:
    """The served model and its status."""

    def __init__(
        self, limits: Limits | None = None, status: Callable[[], Status] | None = None
    ) -> None:
        """Start without a model. `status` returns the status of the build that trains it."""
        self.engine = EngineThread(limits=limits)
        self.model_name = ""
        self._status = status

    def publish(self, assistant: Replier, model_name: str, description: str = "") -> None:
        """Serve a model from now on; the server may already be running.

        Args:
            assistant: The assistant with the model.
            model_name: The id that clients ask for. Keep it during a build, so that open pages
                continue to work.
            description: Description for people, such as "step 300 of 900, learning to converse".
        """
        self.model_name = model_name
        self.engine.set_assistant(assistant, description)

    def status(self) -> Status:
        """Return the status of the build, with the served model."""
        served = self.engine.served
        if self._status is not None:
            status = self._status()
        else:
            status = Status(state="building" if served is None else "ready")
        if served is None:
            return status
        return replace(status, can_chat=True, model=served.description, model_number=served.number)


def make_app(
    assistant: Replier | None,
    model_name: str,
    *,
    status: Callable[[], Status] | None = None,
    limits: Limits | None = None,
) -> FastAPI:
    """Return the application. Use `app.state.service.publish` to serve a model later.

    Args:
        assistant: The assistant with the model, or None while it is being built.
        model_name: The id that clients ask for.
        status: Returns the status of the build.
        limits: Bounds on the work that the server accepts.
    """
    service = Service(limits, status)
    if assistant is not None:
        service.publish(assistant, model_name)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        service.engine.close()

    # No /docs: FastAPI's documentation pages load scripts from a CDN.
    app = FastAPI(
        title="Chatwright", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan
    )
    app.state.service = service
    app.add_middleware(Guard)
    app.add_exception_handler(ApiError, handle_api_error)
    app.add_exception_handler(HTTPException, handle_http_error)
    app.add_exception_handler(Exception, handle_unexpected_error)
    add_page(app)
    add_routes(app, service)
    return app


def add_page(app: FastAPI) -> None:
    """Add the routes of the page's files."""
    for path, (name, media_type) in PAGE_FILES.items():
        endpoint = file_endpoint((PAGE / name).read_bytes(), media_type)
        app.add_api_route(path, endpoint, methods=["GET"])


def file_endpoint(content: bytes, media_type: str) -> Callable[[], Any]:
    """Return an endpoint that sends a file."""

    async def send() -> Response:
        return Response(content, media_type=media_type)

    return send


def add_routes(app: FastAPI, service: Service) -> None:
    """Add the routes of the API."""

    @app.get("/health")
    async def health() -> Response:
        """Answer 200 if a model is served, otherwise 503, for scripts that wait."""
        is_ready = service.engine.is_ready
        body = {"status": "ok" if is_ready else "building"}
        return JSONResponse(body, status_code=200 if is_ready else 503)

    @app.get("/api/status")
    async def status() -> Response:
        return JSONResponse(service.status().to_json())

    @app.get("/v1/models")
    async def models() -> Response:
        names = [service.model_name] if service.engine.is_ready else []
        return JSONResponse({"object": "list", "data": [model_card(name) for name in names]})

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> Response:
        require_model(name, service)
        return JSONResponse(model_card(name))

    @app.post("/v1/chat/completions")
    async def chat_completions(http: Request) -> Response:
        request = parse_request(await http.body())
        if service.engine.is_ready:  # if not, complete_chat answers 503
            require_model(request.model, service)
        return await complete_chat(http, request, service.engine)


def model_card(name: str) -> dict[str, Any]:
    """Return a model in the shape of OpenAI's list of models."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "you"}


def require_model(name: str, service: Service) -> None:
    """Raise ApiError (404) if this model is not served."""
    if name != service.model_name or not service.engine.is_ready:
        message = f"the model {name!a} is not served here; GET /v1/models lists the one that is"
        raise ApiError(404, message, code="model_not_found", param="model")
