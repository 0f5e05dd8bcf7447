"""Route x role x owner, generated from the application: who is admitted, and to what.

A route of the page's API that is not in ROWS fails the test: add it on purpose.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from chatwright.conversation import Message
from chatwright.server.access.route_access import UserPolicy, policy_of
from chatwright.server.own_models.own_models import OwnModels
from chatwright.server.replies.pending_reply import Served
from chatwright.store.feedback import Opinion
from chatwright.store.messages import Answer, Origin
from chatwright.store.rating_queue import NewTask
from chatwright.store.schema import QUEUE_REPLIES
from chatwright.store.store import Store
from tests.server.fake_assistant import FakeAssistant
from tests.server.routes.store.store_client import StoreClient, store_client

ROLES = ("admin", "member", "rater", "learner")
ALL = frozenset(ROLES)
RATERS = ALL - {"learner"}
ADMIN = frozenset({"admin"})


@dataclass(frozen=True)
class Things:
    """What a user has: one of each kind that a route names."""

    conversation: str
    question: str
    answer: str
    pending: str
    folder: str
    feedback: str
    user: str
    task: str
    replies: tuple[str, str]
    link: str


def make_things(store: Store, user: str) -> Things:
    conversation = store.conversations.create(user).id
    question, answer = store.messages.add(
        user, conversation, None, Message("user", "hi"), answer_by=Origin()
    )
    store.messages.complete(user, answer.id, Answer(Message("assistant", "hello")))
    pending = store.messages.add_answer(user, conversation, question.id, Origin())
    store.conversations.update(user, conversation, shown=answer.id)
    folder = store.conversations.add_folder(user, f"folder {conversation}")
    opinion = Opinion(kind="thumb", messages=(answer.id,), is_up=True)
    feedback = store.feedback.give(user, opinion)
    prompt, replies = (
        Message("user", "which?"),
        (Message("assistant", "a"), Message("assistant", "b")),
    )
    (task,) = store.queue.add(user, "queue", [NewTask((prompt,), replies, (Origin(), Origin()))])
    with store.database.read() as connection:
        rows = connection.execute(
            sa.select(QUEUE_REPLIES.c.message_id).where(QUEUE_REPLIES.c.task_id == task)
        )
        first, second = rows.scalars().all()
    return Things(
        *(conversation, question.id, answer.id, pending.id, folder.id, feedback.id),
        *(user, task, (first, second), store.links.make(user, conversation)[0].id),
    )


@dataclass(frozen=True)
class Row:
    """Who may call a route, and a request that works for the owner of the things it names."""

    roles: frozenset[str]
    status: int
    path: Callable[[Things], str]
    body: Callable[[Things], Any] = lambda things: None
    has_owner: bool = True
    """Whether the request names things of a user."""


TEXT = [{"type": "text", "text": "x"}]
QUEUE = {
    "tasks": [
        {
            "prompt": [{"role": "user", "content": "hi"}],
            "replies": [{"content": "a"}, {"content": "b"}],
            "right_ranks": [1, 2],
        }
    ]
}
ANSWER = {"state": "complete", "parts": TEXT}


def fixed(path: str) -> Callable[[Things], str]:
    return lambda things: path


def conversation(rest: str = "") -> Callable[[Things], str]:
    return lambda things: f"/api/conversations/{things.conversation}{rest}"


def folder(things: Things) -> str:
    return f"/api/folders/{things.folder}"


def message(things: Things) -> str:
    return f"/api/conversations/{things.conversation}/messages/{things.pending}"


ROWS: dict[tuple[str, str], Row] = {
    ("GET", "/api/users"): Row(ADMIN, 200, fixed("/api/users"), has_owner=False),
    ("POST", "/api/invitations"): Row(ADMIN, 201, fixed("/api/invitations"), has_owner=False),
    ("GET", "/api/conversations"): Row(ALL, 200, fixed("/api/conversations"), has_owner=False),
    ("POST", "/api/conversations"): Row(
        ALL, 201, fixed("/api/conversations"), lambda things: {"folder": things.folder}
    ),
    ("GET", "/api/conversations/{id}"): Row(ALL, 200, conversation()),
    ("PATCH", "/api/conversations/{id}"): Row(
        ALL, 200, conversation(), lambda things: {"title": "x", "shown": things.answer}
    ),
    ("DELETE", "/api/conversations/{id}"): Row(ALL, 204, conversation()),
    ("GET", "/api/conversations/{id}/export"): Row(ALL, 200, conversation("/export")),
    ("GET", "/api/conversations/{id}/messages"): Row(ALL, 200, conversation("/messages")),
    ("POST", "/api/conversations/{id}/messages"): Row(
        ALL,
        201,
        conversation("/messages"),
        lambda things: {"parent": things.answer, "role": "user", "parts": TEXT, "answer": {}},
    ),
    ("POST", "/api/conversations/{id}/answers"): Row(
        ALL, 201, conversation("/answers"), lambda things: {"parent": things.question}
    ),
    ("PATCH", "/api/conversations/{id}/messages/{message}"): Row(
        ALL, 200, message, lambda things: ANSWER
    ),
    ("GET", "/api/search"): Row(ALL, 200, fixed("/api/search?q=hello"), has_owner=False),
    ("GET", "/api/folders"): Row(ALL, 200, fixed("/api/folders"), has_owner=False),
    ("POST", "/api/folders"): Row(
        ALL,
        201,
        fixed("/api/folders"),
        lambda things: {"name": f"new {things.folder}"},
        has_owner=False,
    ),
    ("PATCH", "/api/folders/{id}"): Row(
        ALL, 200, folder, lambda things: {"name": f"other {things.folder}"}
    ),
    ("DELETE", "/api/folders/{id}"): Row(ALL, 204, folder),
    ("POST", "/api/import"): Row(
        ALL,
        201,
        fixed("/api/import"),
        lambda things: {"conversations": [{"messages": []}], "folder": things.folder},
    ),
    ("POST", "/api/feedback"): Row(
        RATERS,
        201,
        fixed("/api/feedback"),
        lambda things: {"kind": "thumb", "message": things.answer, "is_up": False},
    ),
    ("GET", "/api/feedback"): Row(
        RATERS,
        200,
        lambda things: f"/api/feedback?conversation={things.conversation}",
        has_owner=False,
    ),
    ("DELETE", "/api/feedback/{id}"): Row(
        RATERS, 204, lambda things: f"/api/feedback/{things.feedback}"
    ),
    ("GET", "/api/conversations/{id}/links"): Row(ALL, 200, conversation("/links")),
    ("POST", "/api/conversations/{id}/links"): Row(ALL, 201, conversation("/links")),
    ("POST", "/api/links/{id}/renew"): Row(
        ALL, 200, lambda things: f"/api/links/{things.link}/renew"
    ),
    ("DELETE", "/api/links/{id}"): Row(ALL, 204, lambda things: f"/api/links/{things.link}"),
    ("GET", "/api/lessons/model"): Row(ALL, 200, fixed("/api/lessons/model"), has_owner=False),
    ("POST", "/api/lessons/model"): Row(
        ALL,
        400,  # above the quota: it would train
        fixed("/api/lessons/model"),
        lambda things: {"steps": 1_000_000},
        has_owner=False,
    ),
    ("POST", "/api/lessons/model/stop"): Row(
        ALL, 200, fixed("/api/lessons/model/stop"), has_owner=False
    ),
    ("DELETE", "/api/lessons/model"): Row(ALL, 204, fixed("/api/lessons/model"), has_owner=False),
    ("GET", "/api/lessons/models"): Row(ADMIN, 200, fixed("/api/lessons/models"), has_owner=False),
    ("GET", "/api/lessons/answers"): Row(ALL, 200, fixed("/api/lessons/answers"), has_owner=False),
    ("PUT", "/api/lessons/answers/{lesson}"): Row(
        ALL,
        204,
        fixed("/api/lessons/answers/tokens"),
        lambda things: {"before": 1},
        has_owner=False,
    ),
    ("GET", "/api/lessons/effect"): Row(ADMIN, 200, fixed("/api/lessons/effect"), has_owner=False),
    ("GET", "/api/queue/next"): Row(RATERS, 200, fixed("/api/queue/next"), has_owner=False),
    ("POST", "/api/queue/tasks/{id}/ranking"): Row(
        RATERS,
        201,
        lambda things: f"/api/queue/tasks/{things.task}/ranking",
        lambda things: {"messages": list(things.replies), "ranks": [1, 2]},
        has_owner=False,  # every rater ranks every task
    ),
    ("GET", "/api/queue"): Row(ADMIN, 200, fixed("/api/queue"), has_owner=False),
    ("POST", "/api/queue"): Row(
        ADMIN, 201, fixed("/api/queue"), lambda things: QUEUE, has_owner=False
    ),
    ("PUT", "/api/queue/raters/{id}/limit"): Row(
        ADMIN,
        204,
        lambda things: f"/api/queue/raters/{things.user}/limit",
        lambda things: {"most": 1000},
        has_owner=False,
    ),
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreClient]:
    folder = tmp_path_factory.mktemp("store")
    with store_client(folder / "store.db") as client:
        own = OwnModels(folder / "lessons", lambda run: Served(FakeAssistant(), 1))
        client.client.app.state.service.own_models = own  # type: ignore[attr-defined]
        yield client
        own.close()


@pytest.fixture(scope="module")
def users(client: StoreClient) -> dict[str, str]:
    names = [*ROLES, *(f"other {role}" for role in ROLES)]
    return {name: client.add_user(name, name.removeprefix("other ")) for name in names}


def user_routes(app: FastAPI) -> list[tuple[str, str]]:
    return [
        (method, route.path)  # type: ignore[attr-defined]
        for route in app.routes
        if isinstance(policy_of(route), UserPolicy)
        for method in route.methods  # type: ignore[attr-defined]
    ]


def test_every_route_has_a_row(client: StoreClient) -> None:
    assert sorted(user_routes(client.client.app)) == sorted(ROWS)  # type: ignore[arg-type]


@pytest.mark.parametrize("role", ROLES)
def test_only_administrators_change_runs_and_versions(
    client: StoreClient, users: dict[str, str], role: str
) -> None:
    for path in ("/api/runs", "/api/improve", "/api/versions/v2/promote"):
        body = {"reason": "x"} if "promote" in path else {"recipe": "x"} if "runs" in path else {}
        found = client.send("POST", path, body, as_=role).status_code
        assert found == (404 if role == "admin" else 403), path  # this server has no versions
    for path in ("/api/runs", "/api/improve", "/api/versions", "/api/feedback/summary"):
        assert client.send("GET", path, as_=role).status_code == 404
        assert client.send("GET", path).status_code == 401


@pytest.mark.parametrize("route", sorted(ROWS), ids=" ".join)
def test_who_may_do_what_to_whose_things(
    client: StoreClient, users: dict[str, str], route: tuple[str, str]
) -> None:
    row, method = ROWS[route], route[0]
    for role in ("", *ROLES):
        for owner in ("self", "other"):
            owner_name = (role or "member") if owner == "self" else f"other {role or 'member'}"
            things = make_things(client.store, users[owner_name])
            if not role:
                expected = 401
            elif role not in row.roles:
                expected = 403
            else:
                expected = 404 if owner == "other" and row.has_owner else row.status
            response = client.send(method, row.path(things), row.body(things), as_=role)
            assert response.status_code == expected, (role, owner, response.text)


def test_lists_and_searches_hold_nothing_of_others(
    client: StoreClient, users: dict[str, str]
) -> None:
    things = make_things(client.store, users["other member"])
    client.store.messages.add(
        users["other member"], things.conversation, None, Message("user", "zebrafinch")
    )
    ids = {id_ for id_ in vars(things).values() if isinstance(id_, str)} - {things.user}
    for role in ROLES:
        for path in (
            "/api/conversations?limit=200",
            "/api/folders",
            "/api/search?q=zebrafinch",
            "/api/search?q=hello&limit=100",
            f"/api/conversations?folder={things.folder}",
            f"/api/feedback?conversation={things.conversation}",
        ):
            text = client.send("GET", path, as_=role).text
            assert not any(id_ in text for id_ in ids), (role, path)
