"""A model's sampling settings hold where a request leaves them out; the request's own win."""

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from chatwright.chat.assistant import Assistant
from chatwright.engine.engine import Engine
from chatwright.server.app import make_app
from chatwright.server.model_identity import ModelIdentity
from tests.server.small_model import NO_CONTROL_TOKENS, TOKENIZER, small_model

MESSAGES = [{"role": "user", "content": "abc"}]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": MESSAGES, "max_tokens": 20, "receipt": True},
    "/v1/completions": {"prompt": "abc", "max_tokens": 20, "receipt": True},
    "/v1/messages": {"messages": MESSAGES, "max_tokens": 20},
    "/v1/responses": {"input": "abc", "max_output_tokens": 20},
}


@pytest.fixture(scope="module")
def clients() -> Iterator[tuple[TestClient, TestClient]]:
    """Clients of a server with settings of the model, and of one without."""
    found = []
    with Engine(small_model()) as engine, Engine(small_model()) as other:
        for one, sampling in ((engine, {"temperature": 0.0, "top_k": 3}), (other, {})):
            app = make_app(None, "m")
            identity = ModelIdentity(sampling=sampling)
            app.state.service.publish(Assistant(one, TOKENIZER), "m", "", identity)
            found.append(TestClient(app, base_url="http://127.0.0.1"))
        yield found[0], found[1]


def ask(client: TestClient, path: str, **fields: Any) -> str:
    body = {"model": "m", "seed": 5, "logit_bias": NO_CONTROL_TOKENS, **BODIES[path], **fields}
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    found = response.json()
    match path:
        case "/v1/completions":
            return str(found["choices"][0]["text"])
        case "/v1/messages":
            return str(found["content"][0]["text"])
        case "/v1/responses":
            return str(found["output"][0]["content"][0]["text"])
    return str(found["choices"][0]["message"]["content"])


@pytest.mark.parametrize("path", BODIES)
def test_left_out_settings_are_the_models(
    clients: tuple[TestClient, TestClient], path: str
) -> None:
    with_settings, without = clients
    greedy = ask(without, path, temperature=0)
    assert ask(with_settings, path) == greedy != ask(without, path)
    warm = ask(with_settings, path, temperature=1.5)
    assert warm != ask(without, path, temperature=1.5), "top_k stays the model's"
    if path != "/v1/responses":  # which has no top_k
        fields = {"temperature": 1.5, "top_k": 0}
        assert ask(with_settings, path, **fields) == ask(without, path, **fields)


def test_settings_are_shown(clients: tuple[TestClient, TestClient]) -> None:
    [card] = clients[0].get("/v1/models").json()["data"]
    assert card["chatwright"]["sampling"] == {"temperature": 0.0, "top_k": 3}
    body = {"model": "m", **BODIES["/v1/responses"]}
    shown = [client.post("/v1/responses", json=body).json()["temperature"] for client in clients]
    assert shown == [0.0, 1.0]
