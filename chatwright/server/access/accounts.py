"""Which user of the store sends a request: by session cookie, by API key, or the only user.

Without a log-in (`has_login=False`) every caller whom `route_access.py` admits is the owner of the
store. This is for a server that only this machine reaches. With a log-in, a request needs a
session's cookie or a user's API key.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from chatwright.conversation import Message
from chatwright.server.errors import ApiError
from chatwright.store.sessions import LIFETIME
from chatwright.store.store import Store
from chatwright.store.users import Role, User

log = logging.getLogger("chatwright.server")

COOKIE = "chatwright_session"
SECURE_COOKIE = "__Host-chatwright_session"
"""The cookie's name over HTTPS: browsers accept this prefix only from the host itself."""
ROLE_SCOPES: dict[Role, tuple[str, ...]] = {
    "admin": ("chat", "embeddings", "metrics", "admin"),
    "member": ("chat", "embeddings"),
    "rater": ("chat", "embeddings"),
    "learner": ("chat", "embeddings"),
}
"""What a logged-in user may use beside the page's own routes (`route_access.py`)."""
MAX_FAILURES = 10
FAILURE_SECONDS = 900
MAX_NAMES = 10_000


@dataclass(frozen=True)
class Found:
    """The user of a request and what the request may use."""

    user: User
    scopes: tuple[str, ...]


class RunningAnswer(Protocol):
    """A pending answer of the store that a model is writing."""

    def message(self) -> Message:
        """Return the reply as far as it is written."""
        ...

    def stop(self) -> None:
        """End the reply."""
        ...


@dataclass(frozen=True)
class Accounts:
    """The users of a store, for the web application."""

    store: Store
    has_login: bool = False
    has_links: bool = True
    """Whether users may share conversations by links that need no account."""
    failures: FailedLogins = field(default_factory=lambda: FailedLogins())
    writer: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="store")
    )
    """Writes what no request waits for."""
    running: dict[str, RunningAnswer] = field(default_factory=dict)
    """The pending answers that are being written now, by id."""

    def write_later(self, work: Callable[[], object]) -> None:
        """Do work in the writer's thread; log the type of what it raises."""

        def do() -> None:
            try:
                work()
            except Exception as error:
                log.error("an answer could not be stored: %s", type(error).__name__)

        self.writer.submit(do)

    def finish_writes(self) -> None:
        """Wait until all work is done, when the server stops."""
        self.writer.shutdown(wait=True)

    def find(self, request: Request) -> Found | None:
        """Return the user of a request, or None; on a server without a log-in, the owner.

        It reads the database: call it in a thread.
        """
        if not self.has_login:
            owner = self.store.users.owner()
            return Found(owner, ROLE_SCOPES[owner.role])
        if token := session_token(request):
            user = self.store.sessions.user(token)
            if user is not None:
                return Found(user, ROLE_SCOPES[user.role])
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        key = key.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
        found = self.store.api_keys.user(key) if key else None
        if found is None:
            return None
        user, scopes = found
        return Found(user, tuple(s for s in ROLE_SCOPES[user.role] if s in scopes))

    def log_in(self, name: str, password: str) -> str:
        """Return the token of a new session; ApiError (401, 429) if there is none."""
        self.failures.require_few(name)
        user = self.store.users.check_password(name, password)
        if user is None:
            self.failures.add(name)
            raise ApiError(401, "the name or the password is wrong", code="wrong_password")
        self.failures.clear(name)
        return self.store.sessions.start(user.id)


class FailedLogins:
    """Counts failed log-ins by name, in bounded memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, list[float]] = OrderedDict()

    def require_few(self, name: str) -> None:
        """Raise ApiError (429) after too many failures in the last minutes."""
        with self._lock:
            recent = self._recent(name)
        if len(recent) >= MAX_FAILURES:
            wait = int(recent[0] + FAILURE_SECONDS - time.monotonic()) + 1
            message = "too many log-ins with this name failed: wait"
            raise ApiError(429, message, code="too_many_attempts", retry_after=wait)

    def add(self, name: str) -> None:
        """Count a failure."""
        with self._lock:
            self._failures[name] = [*self._recent(name), time.monotonic()]
            self._failures.move_to_end(name)
            while len(self._failures) > MAX_NAMES:
                self._failures.popitem(last=False)

    def clear(self, name: str) -> None:
        """Forget the failures of a name, after a log-in."""
        with self._lock:
            self._failures.pop(name, None)

    def _recent(self, name: str) -> list[float]:
        since = time.monotonic() - FAILURE_SECONDS
        return [when for when in self._failures.get(name, ()) if when > since]


def session_token(request: Request) -> str:
    """Return the token in the cookie, or ""."""
    name = SECURE_COOKIE if is_https(request) else COOKIE
    return request.cookies.get(name, "")


def set_session(request: Request, response: Response, token: str) -> None:
    """Set the cookie of a session; "" removes it."""
    is_secure = is_https(request)
    response.set_cookie(
        SECURE_COOKIE if is_secure else COOKIE,
        token,
        max_age=int(LIFETIME.total_seconds()) if token else 0,
        secure=is_secure,
        httponly=True,
        samesite="lax",
        path="/",
    )


def require_private(request: Request) -> None:
    """Raise ApiError (403) for a log-in that would send the password unencrypted."""
    host = request.url.hostname or ""
    if not is_https(request) and host not in ("127.0.0.1", "localhost", "::1"):
        message = "log in over HTTPS: chatwright serve --tls self-signed"
        raise ApiError(403, message, code="https_needed")


def is_https(request: Request) -> bool:
    """Return whether the browser speaks HTTPS, with us or with a proxy in front of us."""
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https:")
