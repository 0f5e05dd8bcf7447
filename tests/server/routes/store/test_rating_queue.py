"""The queue over HTTP: what a rater sees of a task, and what it must not show."""

import pytest

from tests.server.routes.store.store_client import store_client
from tests.server.routes.store.test_role_matrix import QUEUE

SECRETS = ("secret-model", "ab" * 32)


@pytest.fixture
def client(tmp_path):
    with store_client(tmp_path / "store.db") as client:
        client.add_user("root", "admin")
        client.add_user("ann", "rater")
        yield client


def fill(client, n_reply=2, **values):
    replies = [
        {"content": f"reply {n}", "model": SECRETS[0], "weights": SECRETS[1]}
        for n in range(n_reply)
    ]
    task = {"prompt": [{"role": "user", "content": "Which?"}], "replies": replies, **values}
    response = client.send("POST", "/api/queue", {"title": "batch", "tasks": [task]}, as_="root")
    assert response.status_code == 201, response.text


def test_a_rater_sees_texts_and_neither_models_nor_right_ranks(client):
    fill(client, right_ranks=[1, 2])
    response = client.send("GET", "/api/queue/next", as_="ann")
    found = response.json()
    assert (found["done"], found["left"]) == (0, 1)
    assert set(found["task"]) == {"id", "prompt", "replies"}
    assert found["task"]["prompt"] == [{"role": "user", "content": "Which?"}]
    assert [set(reply) for reply in found["task"]["replies"]] == [{"id", "parts"}] * 2
    assert not any(secret in response.text for secret in (*SECRETS, "right", "gold", "root"))


def test_a_ranking_counts_and_can_be_taken_back(client):
    fill(client, 3, right_ranks=[1, 2, 3])
    task = client.send("GET", "/api/queue/next", as_="ann").json()["task"]
    ids = [reply["id"] for reply in sorted(task["replies"], key=lambda r: r["parts"][0]["text"])]
    path, body = f"/api/queue/tasks/{task['id']}/ranking", {"messages": ids, "ranks": [1, 2, 3]}
    given = client.send("POST", path, body, as_="ann").json()["id"]
    assert client.send("GET", "/api/queue/next", as_="ann").json() == {
        "task": None,
        "done": 1,
        "left": 0,
    }
    figures = client.send("GET", "/api/queue", as_="root").json()
    assert (figures["tasks"], figures["gold"], figures["rankings"]) == (1, 1, 1)
    ann = next(rater for rater in figures["raters"] if rater["name"] == "ann")
    assert (ann["done"], ann["most"], ann["gold"]["value"], ann["gold"]["n"]) == (1, None, 1.0, 1)
    assert client.send("DELETE", f"/api/feedback/{given}", as_="ann").status_code == 204
    assert client.send("GET", "/api/queue/next", as_="ann").json()["left"] == 1


def test_skipped_tasks_and_limits(client):
    fill(client)
    fill(client)
    first = client.send("GET", "/api/queue/next", as_="ann").json()["task"]["id"]
    second = client.send("GET", f"/api/queue/next?skip={first}", as_="ann").json()["task"]["id"]
    assert second != first
    path = f"/api/queue/next?skip={first}&skip={second}"
    assert client.send("GET", path, as_="ann").json()["task"] is None
    ann = client.send("GET", "/api/queue", as_="root").json()["raters"][0]["id"]
    limit = f"/api/queue/raters/{ann}/limit"
    assert client.send("PUT", limit, {"most": 0}, as_="root").status_code == 204
    assert client.send("GET", "/api/queue/next", as_="ann").json()["task"] is None
    assert client.send("PUT", limit, {}, as_="root").status_code == 204
    assert client.send("GET", "/api/queue/next", as_="ann").json()["left"] == 2


@pytest.mark.parametrize(
    "task",
    [
        {"prompt": []},
        {"prompt": [{"role": "assistant", "content": "x"}]},
        {"replies": [{"content": "a"}]},
        {"replies": [{"content": "a"}, {"content": "a"}]},
        {"right_ranks": [1]},
        {"right_ranks": [0, 1]},
    ],
)
def test_wrong_tasks_are_refused(client, task):
    body = {"tasks": [QUEUE["tasks"][0] | task]}
    response = client.send("POST", "/api/queue", body, as_="root")
    assert (response.status_code, response.json()["error"]["type"]) == (
        400,
        "invalid_request_error",
    )
