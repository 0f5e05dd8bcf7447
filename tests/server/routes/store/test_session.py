"""Log-in and log-out, cookies, invitations, keys, attempts, and servers without a log-in."""

import pytest
from starlette.testclient import TestClient

from chatwright.server.access.access_keys import KeyFile, KeyRing
from chatwright.server.access.accounts import MAX_FAILURES
from chatwright.server.access.route_access import UserPolicy, policy_of
from chatwright.server.app import make_app
from tests.server.fake_assistant import FakeAssistant
from tests.server.routes.store.store_client import PASSWORD, store_client
from tests.server.routes.store.test_role_matrix import QUEUE

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def client(tmp_path):
    with store_client(tmp_path / "store.db") as client:
        client.add_user("ann", "admin")
        client.add_user("ben")
        yield client


def log_in(client, name="ann", password=PASSWORD, **headers):
    return client.send("POST", "/api/session", {"name": name, "password": password}, **headers)


def test_a_session_begins_with_the_password_and_ends_with_log_out(client):
    assert client.send("GET", "/api/session").json() == {
        "store": True,
        "mode": "accounts",
        "links": True,
        "user": None,
    }
    response = log_in(client)
    assert response.status_code == 200
    assert response.json()["user"]["name"] == "ann"
    cookie = response.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=lax", "path=/", "max-age="))
    token = client.client.cookies["chatwright_session"]
    assert client.client.get("/api/conversations").status_code == 200
    assert client.client.get("/api/session").json()["user"]["role"] == "admin"
    assert client.client.delete("/api/session").status_code == 204
    assert "chatwright_session" not in client.client.cookies
    stolen = {"cookie": f"chatwright_session={token}"}
    assert client.client.get("/api/conversations", headers=stolen).status_code == 401


def test_over_https_the_cookie_is_bound_to_the_host(client):
    secure = TestClient(client.client.app, base_url="https://localhost")
    response = secure.post("/api/session", json={"name": "ann", "password": PASSWORD})
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("__Host-chatwright_session=")
    assert "Secure" in cookie
    assert "domain" not in cookie.lower()
    assert secure.get("/api/conversations").status_code == 200
    # A cookie without the prefix, which another host of the domain can set, is not read.
    token = secure.cookies["__Host-chatwright_session"]
    other = {"cookie": f"chatwright_session={token}"}
    fresh = TestClient(client.client.app, base_url="https://localhost")
    assert fresh.get("/api/conversations", headers=other).status_code == 401


def test_a_password_is_not_taken_over_plain_http_from_another_machine(tmp_path):
    from chatwright.server.access.host_names import HostNames

    names = HostNames(any_address=True)
    with store_client(tmp_path / "store.db", host_names=names) as client:
        client.add_user("ann")
        response = log_in(client, host="10.0.0.7")
        assert (response.status_code, response.json()["error"]["code"]) == (403, "https_needed")
        proxied = log_in(client, host="chat.example", origin="https://chat.example")
        assert proxied.status_code == 421  # the name is not allowed
        proxied = log_in(client, host="10.0.0.7", origin="https://10.0.0.7")
        assert proxied.status_code == 200


@pytest.mark.parametrize(
    ("name", "password"), [("ann", "wrong horse"), ("nobody", PASSWORD), ("", ""), ("ann", "")]
)
def test_a_wrong_name_or_password_is_refused_alike(client, name, password):
    response = log_in(client, name, password)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "wrong_password"
    assert "set-cookie" not in response.headers


def test_many_failures_close_a_name_and_no_other(client):
    for _ in range(MAX_FAILURES):
        assert log_in(client, "ann", "wrong horse").status_code == 401
    response = log_in(client, "ann")
    assert response.status_code == 429
    assert int(response.headers["retry-after"]) > 0
    assert log_in(client, "ben").status_code == 200


def test_an_invitation_makes_an_account_once(client):
    code = client.send("POST", "/api/invitations", {"role": "rater"}, as_="ann").json()["code"]
    body = {"invitation": code, "name": "eve", "password": PASSWORD}
    joined = client.send("POST", "/api/accounts", body)
    assert joined.status_code == 201
    assert joined.json()["user"]["role"] == "rater"
    assert client.client.get("/api/conversations").status_code == 200
    again = client.send("POST", "/api/accounts", {**body, "name": "eva"})
    assert (again.status_code, again.json()["error"]["param"]) == (400, "invitation")


def test_a_log_in_is_needed_for_the_model_too(client):
    assert client.send("POST", "/v1/chat/completions", CHAT).status_code == 401
    assert client.send("POST", "/v1/chat/completions", CHAT, as_="ben").status_code == 200
    assert client.send("GET", "/metrics", as_="ben").status_code == 403
    assert client.send("GET", "/", as_="").status_code == 200  # the page itself is public


def test_a_users_key_works_within_its_scopes(client):
    ben = client.store.users.find("ben").id
    _, key = client.store.api_keys.add(ben, "laptop", ["chat", "metrics"])
    bearer = {"authorization": f"Bearer {key}"}
    assert client.send("POST", "/v1/chat/completions", CHAT, **bearer).status_code == 200
    assert client.send("GET", "/api/conversations", **bearer).status_code == 200
    assert client.send("GET", "/metrics", **bearer).status_code == 403  # not of a member
    _, narrow = client.store.api_keys.add(ben, "narrow", ["embeddings"])
    refused = client.send("GET", "/api/conversations", x_api_key=narrow)
    assert refused.status_code == 403


def test_another_page_cannot_use_a_session(client):
    for headers in ({"origin": "https://evil.example"}, {"sec_fetch_site": "cross-site"}):
        response = client.send("POST", "/api/conversations", {}, as_="ben", **headers)
        assert response.json()["error"]["code"] == "origin_not_allowed"
    form = client.client.post(
        "/api/conversations",
        content="title=x",
        headers={
            "content-type": "application/x-www-form-urlencoded",
            "cookie": f"chatwright_session={client.tokens['ben']}",
        },
    )
    assert form.status_code == 415


def test_without_a_log_in_every_caller_is_the_owner(tmp_path):
    with store_client(tmp_path / "store.db", has_login=False) as client:
        session = client.send("GET", "/api/session").json()
        assert (session["mode"], session["user"]["name"]) == ("single", "owner")
        assert client.send("POST", "/api/conversations").status_code == 201
        assert len(client.send("GET", "/api/conversations").json()["conversations"]) == 1
        assert log_in(client, "owner", "").json()["error"]["code"] == "no_store"


def test_with_keys_the_owner_needs_one(tmp_path):
    file = KeyFile(tmp_path / "keys.json")
    key, _ = file.add("laptop", ["chat"])
    keys = KeyRing(file)
    with store_client(tmp_path / "store.db", has_login=False, keys=keys) as client:
        assert client.send("GET", "/api/session").json()["user"] is None
        assert client.send("GET", "/api/conversations").status_code == 401
        assert client.send("GET", "/api/conversations", x_api_key=key).status_code == 200
    with store_client(tmp_path / "other.db", keys=keys) as client:
        refused = client.send("GET", "/api/conversations", x_api_key=key)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "no_user")
        assert client.send("POST", "/v1/chat/completions", CHAT, x_api_key=key).status_code == 200


def test_a_server_without_a_store_says_so():
    with TestClient(make_app(FakeAssistant(), "m"), base_url="http://localhost") as client:
        assert client.get("/api/session").json() == {"store": False, "mode": "single", "user": None}
        for method, path in no_store_routes(client.app):
            body = {} if method in ("GET", "DELETE") else {"json": BODIES.get(path, {})}
            response = client.request(method, path.replace("{", "").replace("}", ""), **body)
            assert response.json()["error"]["code"] == "no_store", (method, path)
        assert client.delete("/api/session").status_code == 204


def no_store_routes(app):
    """Return the routes that need a store; GET and DELETE of /api/session do not."""
    users = [
        (method, route.path)
        for route in app.routes
        if isinstance(policy_of(route), UserPolicy)
        for method in route.methods
    ]
    return [*users, ("POST", "/api/session"), ("POST", "/api/accounts")]


TEXT = [{"type": "text", "text": "x"}]
BODIES = {
    "/api/session": {"name": "a", "password": "b"},
    "/api/accounts": {"invitation": "a", "name": "b", "password": "c"},
    "/api/folders": {"name": "a"},
    "/api/folders/{id}": {"name": "a"},
    "/api/import": {"conversations": []},
    "/api/feedback": {"kind": "thumb", "message": "m", "is_up": True},
    "/api/conversations/{id}/messages": {"role": "user", "parts": TEXT},
    "/api/conversations/{id}/messages/{message}": {"state": "complete", "parts": TEXT},
    "/api/conversations/{id}/answers": {"parent": "m"},
    "/api/queue": QUEUE,
    "/api/queue/tasks/{id}/ranking": {"messages": ["a", "b"], "ranks": [1, 2]},
}
