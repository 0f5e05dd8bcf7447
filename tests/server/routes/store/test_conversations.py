"""The page's way through its API: a turn, a retry, a search, an export, an import, feedback."""

import pytest

from tests.server.routes.store.store_client import store_client
from tests.store.test_exchange import CHATGPT, OPEN_WEBUI

TEXT = [{"type": "text", "text": "When do you open?"}]
SEVEN = [{"type": "text", "text": "At seven."}]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with store_client(tmp_path_factory.mktemp("store") / "s.db", has_login=False) as client:
        yield client


@pytest.fixture
def conversation(client):
    return client.send("POST", "/api/conversations", {"title": "hours"}).json()["id"]


def ask(client, conversation, **headers):
    path = f"/api/conversations/{conversation}/messages"
    body = {"parent": None, "role": "user", "parts": TEXT, "answer": {"model": "m"}}
    return client.send("POST", path, body, **headers)


def test_a_turn_is_stored_completed_found_and_rated(client, conversation):
    turn = ask(client, conversation).json()
    assert turn["answer"]["state"] == "pending"
    assert turn["answer"]["parent"] == turn["message"]["id"]
    path = f"/api/conversations/{conversation}/messages"
    end = {
        "state": "complete",
        "parts": SEVEN,
        "tokens": {"prompt": 31, "cached": 12, "reply": 4},
        "receipt": {"seed": 7},
    }
    answer = turn["answer"]["id"]
    done = client.send("PATCH", f"{path}/{answer}", end)
    assert done.status_code == 200
    assert {key: done.json()[key] for key in end} == end
    again = client.send("PATCH", f"{path}/{answer}", end)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "not_pending")
    tree = client.send("GET", path).json()
    assert tree == {"messages": [turn["message"], done.json()], "shown": answer}
    (hit,) = client.send("GET", "/api/search?q=sev").json()["hits"]
    assert (hit["message"], hit["title"]) == (answer, "hours")
    assert [piece["text"] for piece in hit["snippet"] if piece["is_match"]] == ["seven"]
    rated = {"kind": "correction", "message": answer, "better": "At eight.", "reason": "late"}
    given = client.send("POST", "/api/feedback", rated)
    assert given.status_code == 201
    feedback = client.send("GET", f"/api/feedback?conversation={conversation}").json()["feedback"]
    assert [{key: item[key] for key in rated} for item in feedback] == [rated]


def test_other_answers_can_be_ranked(client, conversation):
    turn = ask(client, conversation).json()
    parent = {"parent": turn["message"]["id"]}
    other = client.send("POST", f"/api/conversations/{conversation}/answers", parent).json()
    answers = [turn["answer"]["id"], other["id"]]
    body = {"kind": "ranking", "messages": answers, "ranks": [2, 1]}
    early = client.send("POST", "/api/feedback", body)
    assert (early.status_code, early.json()["error"]["code"]) == (409, "not_complete")
    for answer in answers:
        path = f"/api/conversations/{conversation}/messages/{answer}"
        client.send("PATCH", path, {"state": "complete", "parts": SEVEN})
    assert client.send("POST", "/api/feedback", body).status_code == 201


def test_a_retry_with_the_same_key_adds_nothing(client, conversation):
    first = ask(client, conversation, idempotency_key="k1")
    again = ask(client, conversation, idempotency_key="k1")
    assert (again.status_code, again.json()) == (201, first.json())
    path = f"/api/conversations/{conversation}/messages"
    other = client.send("POST", path, {"role": "user", "parts": SEVEN}, idempotency_key="k1")
    assert (other.status_code, other.json()["error"]["code"]) == (409, "key_reused")
    assert len(client.send("GET", path).json()["messages"]) == 2


def test_an_export_comes_back_by_import(client, conversation):
    ask(client, conversation)
    path = f"/api/conversations/{conversation}/export"
    exported = client.send("GET", path).json()
    del exported["chatwright"]
    exported["conversations"] += [CHATGPT, OPEN_WEBUI, {"title": "other", "x": 1}, 7]
    result = client.send("POST", "/api/import", exported)
    assert result.status_code == 201
    titles = [found["title"] for found in result.json()["imported"]]
    assert titles == ["hours", "Opening hours", "Opening hours"]
    assert [item["title"] for item in result.json()["skipped"]] == ["other", ""]
    markdown = client.send("GET", f"{path}?format=markdown")
    assert markdown.headers["content-type"].startswith("text/markdown")
    assert "When do you open?" in markdown.text


def test_the_newest_conversations_come_first_and_pages_join(client):
    made = [client.send("POST", "/api/conversations").json()["id"] for _ in range(5)]
    found, path = [], "/api/conversations?limit=2"
    before = ""
    while before is not None and len(found) < 6:
        page = client.send("GET", path + (f"&before={before}" if before else "")).json()
        found += [item["id"] for item in page["conversations"]]
        before = page["next"]
    assert found[:5] == made[::-1]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "param"),
    [
        ("GET", "/api/conversations?limit=x", None, 400, "limit"),
        ("GET", "/api/conversations?limit=0", None, 400, "limit"),
        ("GET", "/api/conversations/none", None, 404, None),
        ("POST", "/api/conversations", {"titel": "x"}, 400, "titel"),
        ("POST", "/api/conversations", {"title": 7}, 400, "title"),
        ("POST", "/api/conversations", {"settings": {"x": "y" * 20_001}}, 400, "settings"),
        ("POST", "/api/conversations/c/messages", {"role": "user", "parts": "x"}, 400, "parts"),
        ("POST", "/api/conversations/c/messages", {"role": "user", "parts": [1]}, 400, "parts.0"),
        ("POST", "/api/conversations/c/messages", {"role": "tool", "parts": []}, 400, "role"),
        (
            "PATCH",
            "/api/conversations/c/messages/m",
            {"state": "pending", "parts": []},
            400,
            "state",
        ),
        ("POST", "/api/folders", {"name": ""}, 400, "name"),
        ("POST", "/api/feedback", {"kind": "thumb"}, 400, "message"),
        ("POST", "/api/feedback", {"kind": "thumb", "message": "m"}, 400, "is_up"),
        ("GET", "/api/conversations/c/export?format=pdf", None, 400, "format"),
    ],
)
def test_wrong_requests_name_the_field(client, method, path, body, status, param):
    response = client.send(method, path, body)
    assert response.status_code == status
    assert response.json()["error"]["param"] == param
