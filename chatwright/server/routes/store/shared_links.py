"""/api/shared and the links of conversations: others read one branch, without an account.

Only texts of users and of the model are shown: no system prompts, thinking, tool calls or files.
"""

from __future__ import annotations

from dataclasses import asdict

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from chatwright.server.access.route_access import PUBLIC
from chatwright.server.errors import ApiError
from chatwright.server.routes.store.store_route import (
    NO_CONTENT,
    add_route,
    json_response,
    needs_user,
    store_of,
    user_of,
)
from chatwright.store.shared_links import SharedLinks

LINKS = "/api/conversations/{id}/links"
PRIVATE = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex, nofollow, noarchive",
}
"""Headers of what a link shows: no copy in caches, no address in other sites, no index."""


def add(app: FastAPI) -> None:
    """Add the routes. A link's token is all that its reader needs."""
    users = needs_user()
    add_route(app, "GET", LINKS, list_links, users)
    add_route(app, "POST", LINKS, make, users)
    add_route(app, "POST", "/api/links/{id}/renew", renew, users)
    add_route(app, "DELETE", "/api/links/{id}", revoke, users)
    add_route(app, "GET", "/api/shared/{token}", read, PUBLIC)


def list_links(request: Request, id: str) -> Response:
    """List the links to a conversation."""
    found = _links(request).list(user_of(request).id, id)
    return json_response({"links": [asdict(link) for link in found]})


def make(request: Request, id: str) -> Response:
    """Share the shown branch; the token is in this response only."""
    link, token = _links(request).make(user_of(request).id, id)
    return json_response({**asdict(link), "token": token}, 201)


def renew(request: Request, id: str) -> Response:
    """Show the messages up to the one that the conversation shows now."""
    return json_response(asdict(_links(request).renew(user_of(request).id, id)))


def revoke(request: Request, id: str) -> Response:
    """Make a link open nothing."""
    _links(request).revoke(user_of(request).id, id)
    return Response(status_code=NO_CONTENT)


def read(request: Request, token: str) -> Response:
    """Return the texts that a link shows, whoever asks."""
    shown = [
        {"role": stored.message.role, "text": stored.message.text, "model": stored.origin.model}
        for stored in _links(request).read(token)
        if stored.message.role in ("user", "assistant") and stored.message.text
    ]
    response = json_response({"messages": shown})
    response.headers.update(PRIVATE)
    return response


def _links(request: Request) -> SharedLinks:
    """Return the links; ApiError (404) on a server that shares nothing."""
    store = store_of(request)
    if not request.app.state.accounts.has_links:
        message = "this server shares no conversations"
        raise ApiError(404, message, code="links_off")
    return store.links
