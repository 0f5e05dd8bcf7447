"""Run the web application on 127.0.0.1: in the foreground, or in a thread beside a build."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import uvicorn
from fastapi import FastAPI

from chatwright.errors import InputError
from chatwright.server.app import make_app
from chatwright.server.embedder import ServedEmbedder
from chatwright.server.engine_thread import Limits
from chatwright.server.model_identity import ModelIdentity
from chatwright.server.pending_reply import Replier
from chatwright.server.service import Service
from chatwright.server.status import Status

HOST = "127.0.0.1"
DEFAULT_PORT = 8080
GRACE_SECONDS = 5
"""Time that open connections have to end when the server stops."""


def serve(
    assistant: Replier | None,
    model_name: str,
    port: int = DEFAULT_PORT,
    *,
    status: Callable[[], Status] | None = None,
    limits: Limits | None = None,
    announce: Callable[[str], None] = print,
    description: str = "",
    identity: ModelIdentity | None = None,
    embedder: ServedEmbedder | None = None,
    beside: Callable[[Service], AbstractContextManager[None]] = lambda _: nullcontext(),
) -> None:
    """Serve until Ctrl-C.

    Args:
        assistant: The assistant with the model.
        model_name: The id that clients ask for.
        port: The port on 127.0.0.1.
        status: Returns the status of the build.
        limits: Bounds on the work that the server accepts.
        announce: Receives the address.
        description: Description of the model for people, such as its version.
        identity: Which weights these are.
        embedder: The model for vectors of texts.
        beside: Entered while the server runs, such as `served_versions.follow_versions`.

    Raises:
        InputError: The port is taken; the error names a free one.
    """
    listener = open_port(port)
    app = make_app(None, model_name, status=status, limits=limits)
    if assistant is not None:
        app.state.service.publish(assistant, model_name, description, identity)
    if embedder is not None:
        app.state.service.publish_embedder(embedder)
    announce(f"{model_name} is at http://{HOST}:{listener.getsockname()[1]} (Ctrl-C stops it)")
    with beside(app.state.service):
        uvicorn_server(app).run(sockets=[listener])


@contextmanager
def serve_in_thread(
    model_name: str,
    port: int = DEFAULT_PORT,
    *,
    status: Callable[[], Status],
    limits: Limits | None = None,
) -> Iterator[tuple[Service, str]]:
    """Serve in a thread while the caller builds the model; yield the service and the address.

    The caller publishes models to the service. Leaving the context stops the server.
    """
    listener = open_port(port)
    app = make_app(None, model_name, status=status, limits=limits)
    server = uvicorn_server(app)
    arguments = {"sockets": [listener]}
    thread = threading.Thread(target=server.run, kwargs=arguments, name="http", daemon=True)
    thread.start()
    try:
        yield app.state.service, f"http://{HOST}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def open_port(port: int) -> socket.socket:
    """Return a socket that listens on 127.0.0.1 only; InputError if the port is unusable.

    Open it before anything slow, so that a taken port is reported at once.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # Without this option a server that just stopped would block its port for minutes.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(128)
    except OverflowError:
        listener.close()
        raise InputError(
            f"{port} is not a port.",
            remedy="Give a number from 1 to 65535, or 0 for any free port.",
            field="port",
            value=port,
        ) from None
    except OSError as error:
        listener.close()
        free = free_port()
        raise InputError(
            f"Port {port} on {HOST} cannot be used ({error.strerror}).",
            remedy=(
                "Stop the program that uses it, or choose another port, "
                f"for example --port {free} (make up PORT={free})."
            ),
            field="port",
            value=port,
        ) from None
    return listener


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def uvicorn_server(app: FastAPI) -> uvicorn.Server:
    """Return the HTTP server of an application, without an access log."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return uvicorn.Server(config)
