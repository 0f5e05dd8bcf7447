"""Refuse requests from other web pages and to other names, before any route handles them.

A page of another site can make a browser send requests to this machine. Three checks refuse these.
The Host header must name the server (against DNS rebinding; `host_names.py`). A request that
changes something must come from our own page or from no page (against cross-site requests). A body
must be JSON, which a plain form cannot send. No CORS header is ever sent.

Requests to no route (404) and with a wrong method (405) are refused here, too, so that their errors
come before complaints about the body. HEAD is answered where GET is, without the body. The body is
read by the route, after it has checked the caller's key (`route_access.py`).
"""

from __future__ import annotations

import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatwright.server.access.host_names import HostNames
from chatwright.server.errors import ApiError, error_response, internal_error

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing, and whose responses another page cannot read."""
KNOWN_METHODS = SAFE_METHODS | {"POST", "PUT", "PATCH", "DELETE"}
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
    """ASGI middleware that refuses requests, and adds headers to every response."""

    def __init__(self, app: ASGIApp, host_names: HostNames) -> None:
        """Wrap `app`, which answers under `host_names`."""
        self.app = app
        self.host_names = host_names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with an error."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # there is no WebSocket route
            await send({"type": "websocket.close", "code": 1008})
            return
        scope.setdefault("state", {})["request_id"] = f"req_{secrets.token_hex(16)}"
        send = _counted(send, scope)
        is_head = scope["method"] == "HEAD"
        if is_head:
            scope["method"] = "GET"
        send = _with_headers(send, scope["state"]["request_id"], without_body=is_head)
        try:
            headers = Headers(scope=scope)
            self.host_names.require_known(headers.getlist("host"))
            require_route(scope)
            check_headers(scope, headers)
        except ApiError as error:
            await error_response(error, scope)(scope, receive, send)
            return
        await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the route answer. What only a bug can raise becomes a response with an id (500).

        The server that calls us would log the exception with its message, which could hold text of
        a conversation.
        """
        has_started = False

        async def send_watched(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await self.app(scope, limited(receive), send_watched)
        except Exception as error:
            response = error_response(internal_error(error), scope)
            if not has_started:  # otherwise the connection breaks off, and the client notices
                await response(scope, receive, send)


def _counted(send: Send, scope: Scope) -> Send:
    """Return a `send` that counts the response."""

    async def send_counted(message: Message) -> None:
        if message["type"] == "http.response.start":
            # A method that HTTP does not know could be any text, and there would be many.
            method = scope["method"] if scope["method"] in KNOWN_METHODS else ""
            route = getattr(scope.get("route"), "path", "")
            requests = scope["app"].state.service.engine.metrics.requests
            requests.labels(method, route, str(message["status"])).inc()
        await send(message)

    return send_counted


def _with_headers(send: Send, request_id: str, without_body: bool) -> Send:
    """Return a `send` that adds our headers, and leaves out the body of a reply to HEAD."""
    # OpenAI's clients read x-request-id, and Anthropic's request-id.
    added = {**SECURITY_HEADERS, "x-request-id": request_id, "request-id": request_id}

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in added.items():
                headers[name] = value
        elif without_body and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_with_headers


def require_route(scope: Scope) -> None:
    """Raise ApiError for a path that no route has (404), or a method that it lacks (405)."""
    methods: set[str] = set()
    for route in scope["app"].routes:
        match, _ = route.matches(scope)
        if match is Match.FULL:
            return
        if match is Match.PARTIAL:
            methods |= route.methods
    if not methods:
        message = "there is no such route; GET /openapi.json lists all"
        raise ApiError(404, message, code="not_found")
    allowed = sorted({*methods, "HEAD"} if "GET" in methods else methods)
    message = f"this route does not know {scope['method'][:16]!a}; it has {', '.join(allowed)}"
    headers = {"allow": ", ".join(allowed)}
    raise ApiError(405, message, code="method_not_allowed", headers=headers)


def check_headers(scope: Scope, headers: Headers) -> None:
    """Raise ApiError unless the headers fit a request that may change something."""
    if scope["method"] in SAFE_METHODS:
        return
    host = headers["host"]
    # Behind a TLS proxy the page's address begins with https, and the proxy speaks http to us.
    own_origins = ([f"{scope['scheme']}://{host}"], [f"https://{host}"])
    origins = headers.getlist("origin")
    fetch_sites = set(headers.getlist("sec-fetch-site"))
    if (origins and origins not in own_origins) or not fetch_sites <= {"same-origin", "none"}:
        message = "this request comes from another web page, which may not use the model"
        raise ApiError(403, message, code="origin_not_allowed")
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    is_json = headers.get("content-type", "").split(";")[0].strip().lower() == "application/json"
    if not is_json and (has_body or scope["method"] != "DELETE"):
        message = "the body must be JSON: send the header Content-Type: application/json"
        raise ApiError(415, message, code="unsupported_media_type")
    if headers.get("content-encoding", "identity").lower() != "identity":
        message = "compressed bodies are not supported: send the JSON uncompressed"
        raise ApiError(415, message, code="unsupported_media_type")


def limited(receive: Receive) -> Receive:
    """Return a `receive` that raises ApiError for a body that is too large or ends too early."""
    n_byte = 0
    is_complete = False

    async def receive_limited() -> Message:
        nonlocal n_byte, is_complete
        message = await receive()
        if message["type"] == "http.disconnect" and not is_complete:
            text = "the connection closed before the body was complete"
            raise ApiError(400, text, code="incomplete_body")
        n_byte += len(message.get("body", b""))
        if n_byte > MAX_BODY_BYTES:
            text = f"the body is larger than {MAX_BODY_BYTES} bytes: send a shorter conversation"
            raise ApiError(413, text, code="body_too_large")
        is_complete = is_complete or not message.get("more_body", False)
        return message

    return receive_limited
