"""A client of a server with a store, and users who are logged in."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from chatwright.server.access.accounts import Accounts
from chatwright.server.app import make_app
from chatwright.store.store import Store
from tests.server.fake_assistant import FakeAssistant

PASSWORD = "correct horse"


class StoreClient:
    """A client without a user, and requests as one of the users."""

    def __init__(self, client: TestClient, store: Store) -> None:
        self.client = client
        self.store = store
        self.tokens: dict[str, str] = {}

    def add_user(self, name: str, role: Any = "member") -> str:
        """Add a user with a session and return the user's id."""
        user = self.store.users.add(name, role, PASSWORD)
        self.tokens[name] = self.store.sessions.start(user.id)
        return user.id

    def send(self, method: str, path: str, body: Any = None, *, as_: str = "", **headers: str):
        """Return the response to a request as a user, or as nobody."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if as_:
            sent["cookie"] = f"chatwright_session={self.tokens[as_]}"
        if method in ("GET", "DELETE") and body is None:
            return self.client.request(method, path, headers=sent)
        return self.client.request(method, path, json={} if body is None else body, headers=sent)


@contextmanager
def store_client(path: Path, *, has_login: bool = True, **options: Any) -> Iterator[StoreClient]:
    """Yield a client of a server whose store is a new file."""
    with Store(path) as store:
        accounts = Accounts(store, has_login=has_login)
        app = make_app(FakeAssistant(), "m", accounts=accounts, **options)
        with TestClient(app, base_url="http://localhost") as client:
            yield StoreClient(client, store)
