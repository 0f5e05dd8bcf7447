"""The web application: OpenAI's chat API, the page, and the build status.

`access/route_access.py` says who may call a route, and `access/guard.py` refuses requests from
other web pages. Routes only translate HTTP; one thread (`replies/engine_thread.py`) calls the
model. Conversations are kept only where the page stores them (`routes/store/`), and no text of a
conversation is logged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from chatwright.server.access.access_keys import KeyRing
from chatwright.server.access.accounts import Accounts
from chatwright.server.access.guard import Guard
from chatwright.server.access.host_names import HostNames
from chatwright.server.access.route_access import PUBLIC, needs, require_policies
from chatwright.server.errors import ApiError, handle_api_error, handle_http_error
from chatwright.server.openapi_document import openapi_document
from chatwright.server.replies.engine_thread import Limits
from chatwright.server.replies.pending_reply import AnyAssistant
from chatwright.server.routes import (
    adapters,
    completions,
    embeddings,
    feedback,
    info,
    inspection,
    messages,
    metrics,
    responses,
    tokens,
)
from chatwright.server.routes.store import every_route
from chatwright.server.routes.store.lessons import LESSONS
from chatwright.server.routes.teach import improve, runs, versions
from chatwright.server.service import Service
from chatwright.server.status import Status

PAGE = Path(__file__).parent / "page"
MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
PAGE_FILES = {
    "/" if path.name == "index.html" else f"/{path.name}": (path.name, MEDIA_TYPES[path.suffix])
    for path in sorted(PAGE.iterdir())
}
"""File and media type by path: what `make web` built. No other file can be reached."""


def make_app(
    assistant: AnyAssistant | None,
    model_name: str,
    *,
    status: Callable[[], Status] | None = None,
    limits: Limits | None = None,
    keys: KeyRing | None = None,
    host_names: HostNames | None = None,
    accounts: Accounts | None = None,
) -> FastAPI:
    """Return the application. Use `app.state.service.publish` to serve a model later.

    Args:
        assistant: The assistant with the model, or None while it is being built.
        model_name: The id that clients ask for.
        status: Returns the status of the build.
        limits: Bounds on the work that the server accepts.
        keys: The keys that requests need; None admits everyone who reaches the server.
        host_names: The names under which the server answers; by default those of loopback.
        accounts: The users of the store; None keeps nothing.
    """
    service = Service(limits, status)
    service.model_name = model_name  # also of a model that is published later
    if assistant is not None:
        service.publish(assistant, model_name)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        require_policies(app)
        yield
        service.engine.close()
        if accounts is not None:
            accounts.finish_writes()

    # No /docs: FastAPI's documentation pages load scripts from a CDN.
    app = FastAPI(title="Chatwright", openapi_url=None, redirect_slashes=False, lifespan=lifespan)
    app.state.service = service
    app.state.keys = keys
    app.state.accounts = accounts
    app.add_middleware(Guard, host_names=host_names or HostNames())
    app.add_exception_handler(ApiError, handle_api_error)
    app.add_exception_handler(HTTPException, handle_http_error)
    add_page(app)
    add_routes(app, service)
    return app


def add_page(app: FastAPI) -> None:
    """Add the routes of the page's files and of the lessons."""
    for path, (name, media_type) in PAGE_FILES.items():
        endpoint = file_endpoint((PAGE / name).read_bytes(), media_type)
        app.add_api_route(path, endpoint, dependencies=[PUBLIC], include_in_schema=False)
    for lesson in sorted(LESSONS.iterdir()):
        endpoint = file_endpoint(lesson.read_bytes(), "application/json")
        path = f"/lessons/{lesson.name}"
        app.add_api_route(path, endpoint, dependencies=[PUBLIC], include_in_schema=False)


def file_endpoint(content: bytes, media_type: str) -> Callable[[], Any]:
    """Return an endpoint that sends a file."""

    async def send() -> Response:
        return Response(content, media_type=media_type)

    return send


def add_routes(app: FastAPI, service: Service) -> None:
    """Add the routes of the API."""
    info.add(app, service)
    messages.add(app, service)
    metrics.add(app, service)
    responses.add(app, service)
    tokens.add(app, service)
    completions.add(app, service)
    embeddings.add(app, service)
    feedback.add(app, service)
    adapters.add(app, service)
    inspection.add(app, service)
    every_route.add(app, service)
    runs.add(app, service)
    versions.add(app, service)
    improve.add(app, service)

    @app.get("/openapi.json", dependencies=[PUBLIC], include_in_schema=False)
    async def openapi() -> Response:
        """Return the OpenAPI document."""
        return JSONResponse(openapi_document(app))

    @app.get("/api/status", dependencies=[needs("chat", "embeddings")], include_in_schema=False)
    async def status() -> Response:
        """Return the progress of the build, and the views that the page can show."""
        return JSONResponse(service.status().to_json() | {"views": service.views})
