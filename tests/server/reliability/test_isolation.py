"""Users with unique canaries work at once: nobody ever receives a canary of another user.

Each user writes, searches, lists, exports, follows a link and asks for another user's things.
Every body that the server sends is read for canaries. Streams of a model are not part of it:
`tests/engine/test_prefix_cache.py` shows that users share no prefixes.
"""

import itertools
import random
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from chatwright.store.conversations import Conversations
from tests.server.routes.store.store_client import StoreClient, store_client

pytestmark = pytest.mark.ci

CANARY = re.compile(r"canary[0-9]{4}")
N_THREAD = 8
N_ROUND = 3


class Users:
    """What all users do, and the canaries that reached somebody else."""

    def __init__(self, client: StoreClient, n_user: int) -> None:
        self.client = client
        self.names = [f"canary{number:04}" for number in range(n_user)]
        for name in self.names:
            client.add_user(name)
        self.crossings: list[tuple[str, str, str]] = []
        self.n_body = 0
        self._lock = threading.Lock()
        self._conversations: dict[str, str] = {}

    def run(self) -> None:
        """Let all users act at once, each in several rounds."""
        work = list(itertools.product(range(N_ROUND), self.names))
        with ThreadPoolExecutor(N_THREAD) as threads:
            list(threads.map(lambda item: self._act(item[1], item[0]), work))

    def send(self, name: str, method: str, path: str, body: Any = None) -> Any:
        """Return the body of a response as a user; note the canaries of others in it."""
        response = self.client.send(method, path, body, as_=name)
        assert response.status_code < 500, (method, path)
        found = {canary for canary in CANARY.findall(response.text) if canary != name}
        with self._lock:
            self.n_body += 1
            self.crossings += [(name, f"{method} {path}", canary) for canary in found]
        is_json = "json" in response.headers.get("content-type", "")
        return response.json() if is_json and response.content else response.text

    def _act(self, name: str, number: int) -> None:
        text = f"{name} harbor {number}"
        own = self.send(name, "POST", "/api/conversations", {"title": f"harbor {name}"})["id"]
        path = f"/api/conversations/{own}"
        parts = [{"type": "text", "text": text}]
        asked = {"parent": None, "role": "user", "parts": parts, "answer": {"model": "m"}}
        turn = self.send(name, "POST", f"{path}/messages", asked)
        end = {"state": "complete", "parts": parts}
        self.send(name, "PATCH", f"{path}/messages/{turn['answer']['id']}", end)
        hits = self.send(name, "GET", "/api/search?q=harbor&limit=100")["hits"]
        assert len(hits) >= 2  # the search saw the user's own messages
        listed = self.send(name, "GET", "/api/conversations?limit=50")["conversations"]
        assert own in [conversation["id"] for conversation in listed]
        for part in ("/messages", "/export?format=json", "/export?format=markdown"):
            assert name in str(self.send(name, "GET", path + part))
        token = self.send(name, "POST", f"{path}/links", {})["token"]
        assert name in str(self.send(name, "GET", f"/api/shared/{token}"))
        with self._lock:
            self._conversations[name] = own
            others = [found for other, found in self._conversations.items() if other != name]
        for other in random.Random(text).sample(others, min(2, len(others))):
            for part in ("", "/messages", "/export?format=json"):
                self.send(name, "GET", f"/api/conversations/{other}{part}")
        query = random.Random(text).choice(self.names)  # a search for another user's canary
        if query != name:
            assert self.send(name, "GET", f"/api/search?q={query}")["hits"] == []
        self.send(name, "DELETE", f"{path}")


def run_users(folder: Path, n_user: int) -> Users:
    with store_client(folder / "s.db") as client:
        users = Users(client, n_user)
        users.run()
    return users


@pytest.mark.parametrize("n_user", [12, pytest.param(200, marks=pytest.mark.full)])
@pytest.mark.timeout(3600)
def test_nobody_receives_a_canary_of_another_user(
    n_user: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    users = run_users(tmp_path, n_user)
    with capsys.disabled():
        print(f"\n{n_user} users, {users.n_body:,} bodies: {len(users.crossings)} crossings")
    assert users.n_body >= n_user * N_ROUND * 10
    assert users.crossings == []


def test_a_planted_crossing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of conversations is sometimes that of the user who asked before."""
    whole: Callable[..., Any] = Conversations.list
    asked: list[str] = []

    def mixed(self: Conversations, user_id: str, *rest: Any, **named: Any) -> Any:
        asked.append(user_id)
        before = asked[-2] if len(asked) % 5 == 0 else user_id
        found = whole(self, before, *rest, **named)
        return found if found.conversations else whole(self, user_id, *rest, **named)

    monkeypatch.setattr(Conversations, "list", mixed)
    with store_client(tmp_path / "s.db") as client:
        users = Users(client, 6)
        for name in users.names:
            users.send(name, "POST", "/api/conversations", {"title": f"harbor {name}"})
        for name in users.names * 3:
            users.send(name, "GET", "/api/conversations?limit=50")
    assert users.crossings
