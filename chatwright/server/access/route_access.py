"""Who may call a route. Every route declares it: `dependencies=[PUBLIC]` or `[needs("chat")]`.

A route that declares nothing stops the server from starting, so nothing is open by mistake. Without
keys (`access_keys.py`) the server listens on loopback only and everyone on this machine may call
every route. With keys, a route that is not public needs one, as `Authorization: Bearer KEY` or as
`x-api-key: KEY`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from fastapi import Depends, FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from chatwright.errors import InputError
from chatwright.server.access.access_keys import SCOPES, KeyRing
from chatwright.server.access.accounts import ROLE_SCOPES, Accounts
from chatwright.server.errors import ApiError
from chatwright.store.users import User

log = logging.getLogger("chatwright.server")


@dataclass(frozen=True)
class Caller:
    """Who sent a request."""

    user: str = ""
    """Id of the user who logged in, or of the key; "" on a server without both."""
    scopes: tuple[str, ...] = SCOPES
    """What the caller may use."""


class Policy:
    """A dependency of a route that refuses callers without one of its scopes."""

    def __init__(self, *scopes: str) -> None:
        """Admit callers with one of these scopes; without any, everyone."""
        unknown = set(scopes) - set(SCOPES)
        assert not unknown, f"unknown scopes {unknown}"
        self.scopes = scopes

    async def __call__(self, request: Request) -> None:
        """Store the caller for `caller_of`; ApiError (401, 403) if the caller is refused."""
        accounts: Accounts | None = request.app.state.accounts
        has_login = accounts is not None and accounts.has_login
        if request.app.state.keys is None and not has_login:
            request.state.caller = Caller()
        elif self.scopes:
            request.state.caller = self._admit(await _find(request))

    def _admit(self, caller: Caller) -> Caller:
        if not {*self.scopes, "admin"} & set(caller.scopes):
            needed = " or ".join(self.scopes)
            message = f"this needs the permission {needed}, which your user or key does not have"
            raise ApiError(403, message, code="insufficient_scope")
        return caller


class UserPolicy(Policy):
    """A dependency that also stores the user of the store, and refuses other roles."""

    def __init__(self, *roles: str) -> None:
        """Admit users with one of these roles; without any, all users."""
        super().__init__("chat")
        unknown = set(roles) - set(ROLE_SCOPES)
        assert not unknown, f"unknown roles {unknown}"
        self.roles = roles

    async def __call__(self, request: Request) -> None:
        """Store the user as `request.state.user`; ApiError (401, 403) if there is none.

        On a server without a store nothing is stored, and the route answers that.
        """
        await super().__call__(request)
        accounts: Accounts | None = request.app.state.accounts
        if accounts is None:
            return
        if not accounts.has_login:
            found = await run_in_threadpool(accounts.find, request)
            request.state.user = None if found is None else found.user
        user: User | None = getattr(request.state, "user", None)
        if user is None:
            message = "this needs a user, and the key belongs to none: log in"
            raise ApiError(403, message, code="no_user")
        if self.roles and user.role not in self.roles:
            message = f"this needs a user who is {' or '.join(self.roles)}"
            raise ApiError(403, message, code="role_not_allowed")


PUBLIC: Any = Depends(Policy())
"""Declares a route that everyone who reaches the server may call."""


def needs(*scopes: str) -> Any:
    """Declare a route for callers with one of these scopes."""
    assert scopes, "name at least one scope, or declare the route PUBLIC"
    return Depends(Policy(*scopes))


def caller_of(request: Request) -> Caller:
    """Return who sent a request; of a public route, a caller without a key has no scopes."""
    caller: Caller = getattr(request.state, "caller", Caller("", ()))
    return caller


async def _find(request: Request) -> Caller:
    """Return the user who logged in, or the owner of the request's key."""
    accounts: Accounts | None = request.app.state.accounts
    if accounts is not None and accounts.has_login:
        found = await run_in_threadpool(accounts.find, request)
        if found is not None:
            request.state.user = found.user
            return Caller(found.user.id, found.scopes)
        if request.app.state.keys is None:
            raise _unauthorized("log in, or send a key", "no_session")
    return find_caller(request.app.state.keys, request)


def find_caller(keys: KeyRing, request: Request) -> Caller:
    """Return the owner of the request's key; ApiError (401) if it has none that is valid."""
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    given = bearer.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
    if not given:
        raise _unauthorized("a key is needed: send the header Authorization: Bearer KEY")
    try:
        key = keys.find(given)
    except (InputError, OSError) as error:
        log.error("the file of keys cannot be read, so no key is valid: %s", type(error).__name__)
        key = None
    if key is None:
        raise _unauthorized("this key is unknown, revoked or expired")
    return Caller(key.id, key.scopes)


def _unauthorized(message: str, code: str = "invalid_api_key") -> ApiError:
    headers = {"www-authenticate": "Bearer"}
    return ApiError(401, message, code=code, headers=headers)


def policy_of(route: Any) -> Policy | None:
    """Return what a route declares; None if it declares nothing."""
    for dependency in getattr(route, "dependencies", ()):
        if isinstance(dependency.dependency, Policy):
            return dependency.dependency
    return None


def require_policies(app: FastAPI) -> None:
    """Raise RuntimeError if a route declares no policy."""
    missing = [getattr(route, "path", str(route)) for route in app.routes if not policy_of(route)]
    if missing:
        raise RuntimeError(
            f"these routes do not declare who may call them: {', '.join(missing)}. "
            "Add dependencies=[PUBLIC] or [needs(...)], from chatwright.server.access."
        )
