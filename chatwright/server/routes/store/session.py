"""/api/session and /api/accounts: log-in and log-out, invitations, and who is asking."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from chatwright.server.access.accounts import (
    Accounts,
    require_private,
    session_token,
    set_session,
)
from chatwright.server.access.route_access import PUBLIC
from chatwright.server.request_body.request_parser import ShortText, Strict
from chatwright.server.routes.store.store_route import (
    NO_CONTENT,
    add_route,
    body_of,
    json_response,
    needs_user,
    no_store,
    store_of,
    user_of,
)
from chatwright.store.users import User


class LogIn(Strict):
    """Name and password."""

    name: ShortText
    password: str


class Join(Strict):
    """An invitation with the name and password of the new account."""

    invitation: ShortText
    name: ShortText
    password: str


class Invite(Strict):
    """The role of the invited user."""

    role: Literal["admin", "member", "rater", "learner"] = "member"


def add(app: FastAPI) -> None:
    """Add the routes."""
    add_route(app, "GET", "/api/session", read, PUBLIC)
    add_route(app, "POST", "/api/session", log_in, PUBLIC)
    add_route(app, "DELETE", "/api/session", log_out, PUBLIC)
    add_route(app, "POST", "/api/accounts", join, PUBLIC)
    add_route(app, "GET", "/api/users", users, needs_user("admin"))
    add_route(app, "POST", "/api/invitations", invite, needs_user("admin"))


def read(request: Request) -> Response:
    """Say whether there is a store, whether it needs a log-in, and who is logged in."""
    accounts: Accounts | None = request.app.state.accounts
    if accounts is None:
        return json_response({"store": False, "mode": "single", "user": None})
    has_keys = request.app.state.keys is not None
    # Who is only behind a key of the server is not told the owner's id here.
    found = None if has_keys and not accounts.has_login else accounts.find(request)
    return json_response(_session(accounts, None if found is None else found.user))


def log_in(request: Request, body: LogIn = body_of(LogIn)) -> Response:
    """Start a session."""
    accounts = _accounts_with_login(request)
    require_private(request)
    token = accounts.log_in(body.name, body.password)
    return _with_session(request, accounts, token, 200)


def log_out(request: Request) -> Response:
    """End the session."""
    if token := session_token(request):
        _accounts_with_login(request).store.sessions.end(token)
    response = Response(status_code=NO_CONTENT)
    set_session(request, response, "")
    return response


def join(request: Request, body: Join = body_of(Join)) -> Response:
    """Make the account of an invitation, and start its session."""
    accounts = _accounts_with_login(request)
    require_private(request)
    user = accounts.store.invitations.accept(body.invitation, body.name, body.password)
    return _with_session(request, accounts, accounts.store.sessions.start(user.id), 201)


def users(request: Request) -> Response:
    """List the users."""
    found = store_of(request).users.list()
    return json_response(
        {"users": [{**_user(user), "is_active": user.is_active} for user in found]}
    )


def invite(request: Request, body: Invite = body_of(Invite)) -> Response:
    """Make an invitation; its code is in this response only."""
    code = store_of(request).invitations.create(body.role, inviter=user_of(request))
    return json_response({"code": code, "role": body.role}, 201)


def _accounts_with_login(request: Request) -> Accounts:
    accounts: Accounts | None = request.app.state.accounts
    if accounts is None or not accounts.has_login:
        raise no_store()
    return accounts


def _with_session(request: Request, accounts: Accounts, token: str, status: int) -> Response:
    user = accounts.store.sessions.user(token)
    response = json_response(_session(accounts, user), status)
    set_session(request, response, token)
    return response


def _session(accounts: Accounts, user: User | None) -> dict[str, Any]:
    mode = "accounts" if accounts.has_login else "single"
    return {
        "store": True,
        "mode": mode,
        "links": accounts.has_links,
        "user": None if user is None else _user(user),
    }


def _user(user: User) -> dict[str, Any]:
    return {"id": user.id, "name": user.name, "role": user.role}
