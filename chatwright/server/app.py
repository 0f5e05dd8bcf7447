"""The server of one person's machine: the OpenAI chat protocol, a page to talk to the model, and how a build is going.

It listens on 127.0.0.1 only and knows no users: whoever can use this machine can use the model (`guard.py` says what is
refused). Routes only translate HTTP; the model belongs to the engine's thread. Nothing is stored and no text is logged.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from chatwright.server.chat_completions import answer
from chatwright.server.chat_request import read_request
from chatwright.server.engine_thread import EngineThread, Limits, Replier
from chatwright.server.errors import ApiError, on_api_error, on_bug, on_http_error
from chatwright.server.guard import Guard
from chatwright.server.status import Status

HOST = "127.0.0.1"
DEFAULT_PORT = 8080
PAGE = Path(__file__).parent / "page"
PAGE_FILES = {  # path -> file, media type; nothing else of the disk is reachable
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


class Service:
    """What is being served. `publish` puts a model in place, also while the server runs."""

    def __init__(
        self, limits: Limits | None = None, status: Callable[[], Status] | None = None
    ) -> None:
        self.engine = EngineThread(limits=limits)
        self.model_name = ""
        self._status = status

    def publish(self, assistant: Replier, model_name: str, description: str = "") -> None:
        """`model_name` is the id clients ask for: keep it over a build, and open pages go on working. `description` tells people
        how far the model is: "step 300 of 900 of learning to converse"."""
        self.model_name = model_name
        self.engine.set_assistant(assistant, description)

    def status(self) -> Status:
        served = self.engine.served
        status = (
            self._status()
            if self._status is not None
            else Status(state="building" if served is None else "ready")
        )
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
    """`assistant` is None while the model is being built; `app.state.service.publish(assistant, name)` brings it later."""
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
    app.add_exception_handler(ApiError, on_api_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(Exception, on_bug)
    add_page(app)
    add_routes(app, service)
    return app


def add_page(app: FastAPI) -> None:
    for path, (name, media_type) in PAGE_FILES.items():
        app.add_api_route(path, page_file((PAGE / name).read_bytes(), media_type), methods=["GET"])


def page_file(content: bytes, media_type: str) -> Callable[[], Any]:
    async def send() -> Response:
        return Response(content, media_type=media_type)

    return send


def add_routes(app: FastAPI, service: Service) -> None:
    @app.get("/health")
    async def health() -> Response:
        """200 when it can answer, 503 while it cannot: for scripts that wait."""
        is_ready = service.engine.is_ready
        return JSONResponse(
            {"status": "ok" if is_ready else "building"}, status_code=200 if is_ready else 503
        )

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
        request = read_request(await http.body())
        if service.engine.is_ready:  # otherwise submit says that it is being built
            require_model(request.model, service)
        return await answer(http, request, service.engine)


def model_card(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "you"}


def require_model(name: str, service: Service) -> None:
    if name != service.model_name or not service.engine.is_ready:
        message = f"the model {name!a} is not served here; GET /v1/models names the one that is"
        raise ApiError(404, message, code="model_not_found", param="model")


# ---- running it ---------------------------------------------------------------------------------------------------


def open_port(port: int) -> socket.socket:
    """A listening place on this machine only, taken before anything else is started, so that a taken port is said at once."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(
        socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
    )  # a server that just stopped must not block its port for minutes
    try:
        listener.bind((HOST, port))
        listener.listen(128)
    except OverflowError:
        listener.close()
        raise ValueError(
            f"port {port} is not a port: give a number from 1 to 65535, or 0 for any free one"
        ) from None
    except OSError as error:
        listener.close()
        free = free_port()
        remedy = (
            f"stop what uses it, or give another, for example --port {free} (make up PORT={free})"
        )
        raise ValueError(
            f"port {port} on {HOST} cannot be used ({error.strerror}): {remedy}"
        ) from None
    return listener


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def uvicorn_server(app: FastAPI) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
    )


def serve(
    assistant: Replier | None,
    model_name: str,
    port: int = DEFAULT_PORT,
    *,
    status: Callable[[], Status] | None = None,
    limits: Limits | None = None,
    announce: Callable[[str], None] = print,
) -> None:
    """Serve until Ctrl-C. Raises ValueError, with a free port in its text, where the port is taken."""
    listener = open_port(port)
    app = make_app(assistant, model_name, status=status, limits=limits)
    announce(f"{model_name} is at http://{HOST}:{listener.getsockname()[1]} (Ctrl-C stops it)")
    uvicorn_server(app).run(sockets=[listener])


@contextmanager
def serve_beside(
    model_name: str,
    port: int = DEFAULT_PORT,
    *,
    status: Callable[[], Status],
    limits: Limits | None = None,
) -> Iterator[tuple[Service, str]]:
    """Serve in a thread of its own while the caller builds the model; gives the service to `publish` to, and the address."""
    listener = open_port(port)
    app = make_app(None, model_name, status=status, limits=limits)
    server = uvicorn_server(app)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listener]}, name="http", daemon=True
    )
    thread.start()
    try:
        yield app.state.service, f"http://{HOST}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
