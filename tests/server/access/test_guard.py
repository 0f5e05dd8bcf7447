"""Refused requests beside accepted ones, so that a guard that refuses everything fails too."""

import json

import pytest
from starlette.testclient import TestClient

from chatwright.server.access.guard import MAX_BODY_BYTES, SECURITY_HEADERS
from chatwright.server.app import make_app
from tests.server.fake_assistant import FakeAssistant

BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def client():
    with TestClient(make_app(FakeAssistant(), "m"), base_url="http://127.0.0.1:8080") as client:
        yield client


def post(client, headers, body=BODY):
    return client.post("/v1/chat/completions", content=body, headers={**JSON, **headers})


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8080", "localhost:1", "LOCALHOST", "[::1]:8080"]
)
def test_requests_to_names_of_this_machine_are_answered(client, host):
    assert client.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:80",
        "",
        "127.0.0.1:80:80",
        "evil@127.0.0.1",
        "0.0.0.0",
        "10.0.0.7",
    ],
)
@pytest.mark.parametrize(
    "path", ["/", "/health", "/page.js", "/api/status", "/v1/models", "/nowhere"]
)
def test_every_other_host_is_refused(client, host, path):
    response = client.get(path, headers={"host": host})
    assert response.status_code == 421
    assert response.json()["error"]["code"] == "host_not_allowed"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),  # no browser: curl, the OpenAI client
        ({"origin": "http://127.0.0.1:8080", "sec-fetch-site": "same-origin"}, 200),  # our own page
        ({"sec-fetch-site": "none"}, 200),
        ({"origin": "http://localhost:8080", "host": "localhost:8080"}, 200),
        ({"origin": "http://localhost:8080"}, 403),  # another name is another origin
        ({"origin": "http://127.0.0.1:9999"}, 403),  # another program's page on this machine
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"content-type": "text/plain"}, 415),  # a form of another page can send this
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "application/json; charset=utf-8"}, 200),
        ({"content-encoding": "gzip"}, 415),
    ],
)
def test_only_our_page_or_no_page_may_send_an_unsafe_request(client, headers, status):
    assert post(client, headers).status_code == status


def test_a_body_over_the_limit_is_refused(client):
    def padded(size):
        return BODY[:-1] + " " * (size - len(BODY)) + "}"

    assert post(client, {}, padded(MAX_BODY_BYTES)).status_code == 200
    assert post(client, {}, padded(MAX_BODY_BYTES + 1)).status_code == 413
    pieces = (b"x" * 65536 for _ in range(100))  # chunked, without a length
    assert client.post("/v1/chat/completions", content=pieces, headers=JSON).status_code == 413


@pytest.mark.parametrize(
    ("path", "host"), [("/", "localhost"), ("/nowhere", "localhost"), ("/health", "evil.example")]
)
def test_every_response_has_the_security_headers_and_no_cors_header(client, path, host):
    response = client.get(path, headers={"host": host, "origin": "https://evil.example"})
    assert {name: response.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert not [name for name in response.headers if name.startswith("access-control")]


def test_a_preflight_request_is_refused(client):
    response = client.options(
        "/v1/chat/completions",
        headers={"origin": "https://evil.example", "access-control-request-method": "POST"},
    )
    assert response.status_code == 405
    assert not [name for name in response.headers if name.startswith("access-control")]


def test_head_is_get_without_the_body_on_every_route_that_can_be_read(client):
    paths = {route.path for route in client.app.routes if "GET" in route.methods}
    assert len(paths) > 8
    for path in paths:
        path = path.replace("{name:path}", "m")
        got, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (got.status_code, b""), path
        if path != "/metrics":  # it grows with every request
            assert head.headers["content-length"] == got.headers["content-length"]


def test_a_wrong_method_is_refused_with_the_methods_that_the_route_has(client):
    n_refused = 0
    for route in client.app.routes:
        path = route.path.replace("{name:path}", "m")
        matching = [other for other in client.app.routes if other.path_regex.match(path)]
        found = {method for other in matching for method in other.methods}
        expected = found | ({"HEAD"} if "GET" in found else set())
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "X"):
            if method in expected:
                continue
            response = client.request(method, path)
            assert response.status_code == 405, (method, path)
            assert set(response.headers["allow"].split(", ")) == expected
            if method != "HEAD":
                assert response.json()["error"]["code"] == "method_not_allowed"
            n_refused += 1
    assert n_refused > 80


@pytest.mark.parametrize("path", ["/v1/files", "/v1", "/v1/models/", "//", "/V1/models", "/docs"])
def test_an_unknown_route_is_not_found_whatever_the_body_is(client, path):
    for headers in (JSON, {"content-type": "multipart/form-data; boundary=x"}, {}):
        response = client.post(path, content=b"x", headers=headers)
        assert (response.status_code, response.json()["error"]["code"]) in [
            (404, "not_found"),
            (405, "method_not_allowed"),  # /v1/models/NAME with an empty name can be read
        ]
    assert client.get("/v1/files").status_code == 404


def test_every_response_has_an_id_of_its_own(client):
    responses = [client.get("/health"), client.get("/nowhere"), post(client, {}, "{")]
    ids = {response.headers["x-request-id"] for response in responses}
    assert len(ids) == len(responses)


def test_the_page_behind_a_tls_proxy_may_send_requests(client):
    """The proxy speaks http to the server; the browser knows the page under https."""
    headers = {"host": "localhost", "origin": "https://localhost"}
    assert post(client, headers).status_code == 200
    assert post(client, {**headers, "origin": "https://localhost:1"}).status_code == 403
