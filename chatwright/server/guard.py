"""Who may speak to the server: checks on the raw request, before any route sees it.

A web page elsewhere can make a person's browser send requests to 127.0.0.1. Three checks stop it: the Host must be a name of
this machine (DNS rebinding), an unsafe method must come from our own page or from no page at all (cross-site requests), and a
body must be JSON (a plain form cannot send that). No CORS header is ever sent. There is no login: whoever can open a socket
on this machine can talk to the model, so this guard is right for one person's machine and not for a shared one.
"""

from __future__ import annotations

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatwright.server.errors import ApiError, error_response

# Any port: a rebinding attack cannot choose the name, and a tunnel (ssh -L) legitimately changes the port.
LOOPBACK_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.ASCII)
SAFE_METHODS = frozenset(
    {"GET", "HEAD", "OPTIONS"}
)  # these change nothing, and what they show another page cannot read
MAX_BODY_BYTES = 1 << 20

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'"
)
SECURITY_HEADERS = {
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """ASGI middleware: refuse, limit, and put the security headers on every answer (errors too)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # no route speaks WebSocket
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
            await send(message)

        try:
            check_origin(scope["method"], Headers(scope=scope))
            if scope["method"] not in SAFE_METHODS:
                receive = replay(await read_body(receive), receive)
        except ApiError as error:
            await error_response(error)(scope, receive, send_guarded)
            return
        await self.app(scope, receive, send_guarded)


def check_origin(method: str, headers: Headers) -> None:
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not LOOPBACK_HOST.fullmatch(hosts[0].lower()):
        message = "this server answers only to 127.0.0.1, localhost and [::1]: open it under one of these names"
        raise ApiError(421, message, code="host_not_allowed")
    if method in SAFE_METHODS:
        return
    origins = headers.getlist("origin")
    if (origins and origins != [f"http://{hosts[0]}"]) or not set(
        headers.getlist("sec-fetch-site")
    ) <= {"same-origin", "none"}:
        raise ApiError(
            403,
            "this request comes from another web page, which may not use the model",
            code="origin_not_allowed",
        )
    if headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise ApiError(
            415,
            "the body must be JSON: send the header Content-Type: application/json",
            code="unsupported_media_type",
        )
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise ApiError(
            415,
            "compressed bodies are not read: send the JSON as it is",
            code="unsupported_media_type",
        )


async def read_body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ApiError(
                400, "the connection closed before the body was complete", code="incomplete_body"
            )
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise ApiError(
                413,
                f"the body is larger than {MAX_BODY_BYTES} bytes: send a shorter conversation",
                code="body_too_large",
            )
        if not message.get("more_body", False):
            return bytes(body)


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that hands out the body once more, and then whatever follows (the disconnect)."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return pending.pop() if pending else await receive()

    return receive_again
