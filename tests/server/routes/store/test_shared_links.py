"""What a link shows over HTTP: texts only, to anyone who has it, without cookies or an index."""

from starlette.testclient import TestClient

from chatwright.conversation import Message
from chatwright.server.access.accounts import Accounts
from chatwright.server.app import make_app
from chatwright.store.messages import Answer, Origin
from chatwright.store.store import Store
from tests.server.fake_assistant import FakeAssistant
from tests.server.routes.store.store_client import store_client


def conversation(store, user):
    """Return the id of a conversation with a system prompt, a question and an answer."""
    id_ = store.conversations.create(user).id
    system, _ = store.messages.add(user, id_, None, Message("system", "secret prompt"))
    _, answer = store.messages.add(
        user, id_, system.id, Message("user", "hi"), answer_by=Origin("m", "ab" * 32)
    )
    store.messages.complete(
        user, answer.id, Answer(Message("assistant", "hello"), receipt={"secret": 1})
    )
    return id_


def test_a_link_shows_texts_to_anyone_and_sets_no_cookie(tmp_path):
    with store_client(tmp_path / "store.db") as client:
        id_ = conversation(client.store, client.add_user("ann"))
        made = client.send("POST", f"/api/conversations/{id_}/links", as_="ann")
        path = f"/api/shared/{made.json()['token']}"
        response = client.send("GET", path)
        assert response.json() == {
            "messages": [
                {"role": "user", "text": "hi", "model": ""},
                {"role": "assistant", "text": "hello", "model": "m"},
            ]
        }
        assert "set-cookie" not in response.headers
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert "noindex" in response.headers["x-robots-tag"]
        listed = client.send("GET", f"/api/conversations/{id_}/links", as_="ann")
        assert made.json()["token"] not in listed.text
        link = listed.json()["links"][0]["id"]
        assert client.send("DELETE", f"/api/links/{link}", as_="ann").status_code == 204
        gone = client.send("GET", path)
        assert (gone.status_code, gone.json()["error"]["code"]) == (404, "not_found")


def test_a_server_without_links_opens_none(tmp_path):
    with Store(tmp_path / "store.db") as store:
        user = store.users.owner().id
        id_ = conversation(store, user)
        _, token = store.links.make(user, id_)
        app = make_app(FakeAssistant(), "m", accounts=Accounts(store, has_links=False))
        with TestClient(app, base_url="http://localhost") as client:
            assert client.get("/api/session").json()["links"] is False
            for method, path in (
                ("GET", f"/api/shared/{token}"),
                ("GET", f"/api/conversations/{id_}/links"),
                ("POST", f"/api/conversations/{id_}/links"),
            ):
                body = {} if method == "GET" else {"json": {}}
                response = client.request(method, path, **body)
                assert response.json()["error"]["code"] == "links_off", path
