"""Who may call which route: every route of the application with every kind of key."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from chatwright.chat.assistant import Assistant
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.server.access.access_keys import SCOPES, KeyFile, KeyRing
from chatwright.server.access.route_access import PUBLIC, needs, policy_of
from chatwright.server.app import PAGE_FILES, make_app
from tests.server.fake_assistant import FakeAssistant
from tests.server.small_model import NO_CONTROL_TOKENS, TOKENIZER, small_model

PUBLIC_PATHS = {
    *(*PAGE_FILES, "/openapi.json", "/health", "/livez", "/readyz"),
    *("/api/session", "/api/accounts"),  # log-in and log-out; invitations
    "/api/shared/{token}",  # the token admits
    *(f"/lessons/{language}.json" for language in ("de", "en", "fr", "stored")),
}
"""What may be read without a key. A route that joins them must be added here on purpose."""
SCOPE_OF: dict[str | tuple[str, str], set[str]] = {
    "/metrics": {"metrics"},
    "/v1/adapters": {"admin"},
    "/v1/adapters/{name}": {"admin"},
    "/v1/embeddings": {"embeddings"},
    "/v1/models": {"chat", "embeddings"},
    "/v1/models/{name:path}": {"chat", "embeddings"},
    "/version": {"chat", "embeddings"},
    "/api/status": {"chat", "embeddings"},
    ("POST", "/api/runs"): {"admin"},
    "/api/runs/{name}/stop": {"admin"},
    "/api/runs/{name}/resume": {"admin"},
    "/api/versions/{name}/promote": {"admin"},
    "/api/versions/{name}/rollback": {"admin"},
    "/api/versions/{name}/canary": {"admin"},
    "/api/canary/end": {"admin"},
    ("POST", "/api/improve"): {"admin"},
    "/api/improve/stop": {"admin"},
}
"""Scopes of the routes, or of one method, that need another one than chat."""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The ring, and a key of each scope, one without any, and three that must not work."""
    file = KeyFile(tmp_path_factory.mktemp("keys") / "keys.json")
    texts = {scope: file.add(scope, [scope])[0] for scope in SCOPES}
    texts["nothing"] = file.add("nothing", [])[0]
    texts["expired"] = file.add("expired", SCOPES, seconds=-1)[0]
    texts["revoked"] = file.add("revoked", SCOPES)[0]
    texts["unknown"] = KeyFile(file.path.with_name("other.json")).add("x", SCOPES)[0]
    file.revoke("revoked")
    return {"ring": KeyRing(file), "texts": texts}


@pytest.fixture(scope="module")
def client(keys: dict[str, Any]) -> Iterator[TestClient]:
    app = make_app(FakeAssistant(), "m", keys=keys["ring"])
    with TestClient(app, base_url="http://localhost") as client:
        yield client


def routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    for route in app.routes:
        for method in sorted(route.methods):  # type: ignore[attr-defined]
            yield method, route.path  # type: ignore[attr-defined]


def status(client: TestClient, method: str, path: str, headers: dict[str, str]) -> int:
    filled = path.replace("{name:path}", "m").replace("{", "").replace("}", "")
    json_type = {"content-type": "application/json"}
    body = b"" if method in ("GET", "HEAD") else b"{}"
    response = client.request(method, filled, headers={**json_type, **headers}, content=body)
    return response.status_code


def test_every_route_admits_exactly_the_keys_with_its_scope(
    client: TestClient, keys: dict[str, Any]
) -> None:
    n_checked = 0
    for method, path in routes(client.app):  # type: ignore[arg-type]
        allowed = {*SCOPE_OF.get((method, path), SCOPE_OF.get(path, {"chat"})), "admin"}
        cells = {"": None, **keys["texts"]}
        for name, text in cells.items():
            headers = {} if text is None else {"authorization": f"Bearer {text}"}
            found = status(client, method, path, headers)
            if path in PUBLIC_PATHS or name in allowed:
                assert found not in (401, 403), (method, path, name)
            elif name in SCOPES or name == "nothing":
                assert found == 403, (method, path, name)
            else:
                assert found == 401, (method, path, name)
            n_checked += 1
    assert n_checked > 150


def test_both_ways_to_send_a_key_work_and_other_ways_do_not(
    client: TestClient, keys: dict[str, Any]
) -> None:
    key = keys["texts"]["chat"]
    cases = [
        ({"authorization": f"Bearer {key}"}, 200),
        ({"authorization": f"bearer {key}"}, 200),
        ({"x-api-key": key}, 200),
        ({"authorization": key}, 401),
        ({"authorization": f"Basic {key}"}, 401),
        ({"authorization": "Bearer "}, 401),
        ({"x-api-key": ""}, 401),
        ({"cookie": f"key={key}"}, 401),
    ]
    for headers, expected in cases:
        response = client.get("/v1/models", headers=headers)
        assert response.status_code == expected, headers
        if expected == 401:
            assert response.headers["www-authenticate"] == "Bearer"
            assert response.json()["error"]["code"] == "invalid_api_key"
    assert client.get(f"/v1/models?key={key}").status_code == 401


def test_the_key_is_checked_before_the_body(client: TestClient) -> None:
    response = client.post(
        "/v1/chat/completions",
        content=b"x" * (2 << 20),
        headers={"content-type": "application/json"},
    )
    assert response.status_code == 401


def test_without_keys_every_route_is_open() -> None:
    with TestClient(make_app(FakeAssistant(), "m"), base_url="http://localhost") as client:
        for method, path in routes(client.app):  # type: ignore[arg-type]
            assert status(client, method, path, {}) not in (401, 403), (method, path)


def test_a_route_without_a_policy_stops_the_start() -> None:
    app = make_app(FakeAssistant(), "m")

    @app.get("/open")
    async def forgotten() -> str:
        return ""

    with pytest.raises(RuntimeError, match="/open"), TestClient(app):
        pass
    app.state.service.engine.close()
    assert policy_of(app.routes[-1]) is None


def test_a_scope_that_does_not_exist_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        needs("everything")
    with pytest.raises(AssertionError):
        needs()
    assert PUBLIC.dependency.scopes == ()


def test_no_key_is_in_a_log_or_an_error(
    client: TestClient, keys: dict[str, Any], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    for text in keys["texts"].values():
        response = client.get("/v1/models", headers={"x-api-key": text})
        assert text not in response.text
        assert text not in str(response.headers)
        assert text not in caplog.text


PROMPT = "abcdefgh" * 40
ASKS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": PROMPT}], "max_tokens": 1},
    "/v1/messages": {"messages": [{"role": "user", "content": PROMPT}], "max_tokens": 1},
    "/v1/responses": {"input": PROMPT, "max_output_tokens": 1},
    "/v1/completions": {"prompt": PROMPT, "max_tokens": 1},
}


@pytest.mark.parametrize("path", ASKS)
def test_callers_with_different_keys_share_no_cached_prompt(
    keys: dict[str, Any], path: str
) -> None:
    body = {"model": "m", "seed": 1, "logit_bias": NO_CONTROL_TOKENS, **ASKS[path]}
    config = EngineConfig(n_slot=1, prefix_cache_bytes=50_000_000)
    with Engine(small_model(context_length=1024), config) as engine:
        app = make_app(Assistant(engine, TOKENIZER), "m", keys=keys["ring"])
        registry = app.state.service.engine.metrics.registry
        with TestClient(app, base_url="http://localhost") as client:
            counts = [0]
            for scope in ("chat", "chat", "admin", "admin"):
                headers = {"x-api-key": keys["texts"][scope]}
                assert client.post(path, json=body, headers=headers).status_code == 200
                counts.append(registry.get_sample_value("chatwright_cached_prompt_tokens_total"))
    n_cached = [late - early for early, late in pairwise(counts)]
    assert n_cached[0] == n_cached[2] == 0
    assert n_cached[1] == n_cached[3] > 100
