"""Refuse requests from other web pages, before any route handles them.

A page of another site can make a browser send requests to 127.0.0.1. Three checks refuse these. The
Host header must name this machine (against DNS rebinding). A request that changes something must
come from our own page or from no page (against cross-site requests). A body must be JSON, which a
plain form cannot send. No CORS header is ever sent. There is no login: everyone who can open a
socket on this machine can use the model, so do not run the server on a shared machine.
"""

from __future__ import annotations

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatwright.server.errors import ApiError, error_response

# Any port is allowed: a tunnel (ssh -L) changes it, and DNS rebinding shows in the host name.
LOOPBACK_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.ASCII)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing, and whose responses another page cannot read."""
MAX_BODY_BYTES = 1 << 20

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; "
    "require-trusted-types-for 'script'"
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
    """ASGI middleware that refuses requests and adds the security headers to every response."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with an error."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # there is no WebSocket route
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
            await send(message)

        try:
            check_headers(scope["method"], Headers(scope=scope))
            if scope["method"] not in SAFE_METHODS:
                receive = replay(await read_body(receive), receive)
        except ApiError as error:
            await error_response(error)(scope, receive, send_with_headers)
            return
        await self.app(scope, receive, send_with_headers)


def check_headers(method: str, headers: Headers) -> None:
    """Raise ApiError unless the headers fit a request that may use the model."""
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not LOOPBACK_HOST.fullmatch(hosts[0].lower()):
        message = (
            "this server answers only under 127.0.0.1, localhost and [::1]: "
            "use one of these names in the address"
        )
        raise ApiError(421, message, code="host_not_allowed")
    if method in SAFE_METHODS:
        return
    origins = headers.getlist("origin")
    is_other_origin = bool(origins) and origins != [f"http://{hosts[0]}"]
    fetch_sites = set(headers.getlist("sec-fetch-site"))
    if is_other_origin or not fetch_sites <= {"same-origin", "none"}:
        message = "this request comes from another web page, which may not use the model"
        raise ApiError(403, message, code="origin_not_allowed")
    if headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        message = "the body must be JSON: send the header Content-Type: application/json"
        raise ApiError(415, message, code="unsupported_media_type")
    if headers.get("content-encoding", "identity").lower() != "identity":
        message = "compressed bodies are not supported: send the JSON uncompressed"
        raise ApiError(415, message, code="unsupported_media_type")


async def read_body(receive: Receive) -> bytes:
    """Return the whole body; ApiError if it is too large or the connection closes first."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            text = "the connection closed before the body was complete"
            raise ApiError(400, text, code="incomplete_body")
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            text = f"the body is larger than {MAX_BODY_BYTES} bytes: send a shorter conversation"
            raise ApiError(413, text, code="body_too_large")
        if not message.get("more_body", False):
            return bytes(body)


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that first returns the body, and then later messages (the disconnect)."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return pending.pop() if pending else await receive()

    return receive_again
