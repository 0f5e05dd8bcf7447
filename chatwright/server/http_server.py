"""Run the web application: in the foreground, or in a thread beside a build."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType

import uvicorn
from fastapi import FastAPI

from chatwright.server.access.accounts import Accounts
from chatwright.server.address import DEFAULT_PORT, Address
from chatwright.server.app import make_app
from chatwright.server.embedder import ServedEmbedder
from chatwright.server.model_identity import ModelIdentity
from chatwright.server.replies.engine_thread import EngineThread, Limits
from chatwright.server.replies.pending_reply import AnyAssistant
from chatwright.server.service import Service
from chatwright.server.status import Status

GRACE_SECONDS = 25
"""Time that live replies have to end when the server stops."""
GRACE_BESIDE_BUILD = 3
"""The same, for a server beside a build, which stops only when its user presses Ctrl-C."""
LAST_SECONDS = 5
"""After that time, what still sends its error event may take so long."""


def serve(
    assistant: AnyAssistant | None,
    model_name: str,
    address: Address = Address(),
    listener: socket.socket | None = None,
    *,
    status: Callable[[], Status] | None = None,
    limits: Limits | None = None,
    announce: Callable[[str], None] = print,
    description: str = "",
    identity: ModelIdentity | None = None,
    embedder: ServedEmbedder | None = None,
    beside: Callable[[Service], AbstractContextManager[None]] = lambda _: nullcontext(),
) -> None:
    """Serve until Ctrl-C or SIGTERM, and return when live replies have ended.

    Args:
        assistant: The assistant with the model.
        model_name: The id that clients ask for.
        address: Where to listen, and who may connect.
        listener: The open socket of this address; None opens it.
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
    listener = listener or address.open()
    app = _app(model_name, address, status, limits)
    if assistant is not None:
        app.state.service.publish(assistant, model_name, description, identity)
    if embedder is not None:
        app.state.service.publish_embedder(embedder)
    announce(f"{model_name} is at {address.url(listener.getsockname()[1])} (Ctrl-C stops it)")
    if address.fingerprint:
        announce(f"SHA-256 fingerprint of its certificate: {address.fingerprint}")
    with beside(app.state.service):
        DrainingServer(app, address).run(sockets=[listener])


@contextmanager
def serve_in_thread(
    model_name: str,
    port: int = DEFAULT_PORT,
    *,
    status: Callable[[], Status],
    limits: Limits | None = None,
    accounts: Accounts | None = None,
) -> Iterator[tuple[Service, str]]:
    """Serve this machine in a thread while the caller builds the model.

    Yields the service, to which the caller publishes models, and the address for a browser. Leaving
    the context stops the server.
    """
    address = Address(port=port, accounts=accounts)
    listener = address.open()
    app = _app(model_name, address, status, limits)
    server = DrainingServer(app, address, GRACE_BESIDE_BUILD)
    arguments = {"sockets": [listener]}
    thread = threading.Thread(target=server.run, kwargs=arguments, name="http", daemon=True)
    thread.start()
    try:
        yield app.state.service, address.url(listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()


def _app(
    model_name: str,
    address: Address,
    status: Callable[[], Status] | None,
    limits: Limits | None,
) -> FastAPI:
    return make_app(
        None,
        model_name,
        status=status,
        limits=limits,
        keys=address.keys,
        host_names=address.host_names,
        accounts=address.accounts,
    )


class DrainingServer(uvicorn.Server):
    """The HTTP server of an application. It lets live replies end before it stops."""

    def __init__(
        self, app: FastAPI, address: Address, grace_seconds: float = GRACE_SECONDS
    ) -> None:
        """Prepare the server; without an access log, which would hold addresses of people."""
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ssl_certfile=address.tls_cert,
            ssl_keyfile=address.tls_key,
            timeout_graceful_shutdown=int(grace_seconds) + LAST_SECONDS,
        )
        super().__init__(config)
        self.engine: EngineThread = app.state.service.engine
        self.grace_seconds = grace_seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; a second Ctrl-C stops at once.

        Unlike uvicorn's, this does not raise the signal again afterwards: the exit status is 0.
        """
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse waiting replies, wait for live ones, and end those that are late with an error."""
        self.engine.drain()
        closing = asyncio.ensure_future(self._close_after_grace())
        try:
            await super().shutdown(sockets)
        finally:
            closing.cancel()

    async def _close_after_grace(self) -> None:
        await asyncio.sleep(self.grace_seconds)
        await asyncio.to_thread(self.engine.close)
