"""Malformed bodies of five routes are client errors, and a real socket carries a stream.

`reliability/test_malformed_requests.py` tries all routes that have a body.
"""

import json
import random
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from chatwright.chat.assistant import Assistant
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.server.app import make_app
from chatwright.server.http_server import serve_in_thread
from chatwright.server.status import Status
from tests.server.small_model import NO_CONTROL_TOKENS, TOKENIZER, small_model

MESSAGES = [{"role": "user", "content": [{"type": "text", "text": "a"}]}]
TEXT = {"model": "m", "prompt": "abc", "max_tokens": 4, "seed": 3, "logprobs": 1, "echo": True}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/completions": {**TEXT, "stop": ["b"], "logit_bias": {"1": 2}, "n": 1, "best_of": 2},
    "/v1/chat/completions": {"model": "m", "messages": MESSAGES, "max_tokens": 4, "logprobs": True},
    "/v1/embeddings": {"model": "m", "input": ["a"], "encoding_format": "base64"},
    "/tokenize": {"model": "m", "messages": MESSAGES, "return_token_strs": True},
    "/detokenize": {"model": "m", "tokens": [1, 2]},
}
WRONG = [None, True, -1, 0, 1.5, 1e308, 10**400, "", "x", "\ud800", "\x00", [], {}, [[]], [None]]


@pytest.fixture(scope="module")
def assistant() -> Iterator[Assistant]:
    with Engine(small_model(), EngineConfig(n_slot=2)) as engine:
        yield Assistant(engine, TOKENIZER)
        assert engine.n_free_slot == 2, "a reply kept its slot in the cache"


def corrupted(value: Any, draw: random.Random) -> Any:
    """Return the value with some parts replaced, and some names changed."""
    if draw.random() < 0.12:
        return draw.choice(WRONG)
    if isinstance(value, dict):
        return {
            draw.choice(["", "x", *[key] * 8]): corrupted(inner, draw)
            for key, inner in value.items()
        }
    return [corrupted(inner, draw) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("path", BODIES)
def test_malformed_bodies_are_client_errors(assistant: Assistant, path: str) -> None:
    draw = random.Random(11)
    n_refused = 0
    with TestClient(make_app(assistant, "m"), base_url="http://127.0.0.1") as client:
        for _ in range(120):
            body = json.dumps(corrupted(BODIES[path], draw)).encode()
            if draw.random() < 0.1:
                body = body[: draw.randrange(len(body) + 1)]
            headers = {"content-type": "application/json"}
            response = client.post(path, content=body, headers=headers)
            assert response.status_code in (200, 400, 404), body
            if response.status_code != 200:
                n_refused += 1
                assert response.json()["error"].keys() == {"message", "type", "code", "param"}
        assert n_refused > 40
        assert client.app.state.service.engine.wait_until_idle(30)  # type: ignore[attr-defined]


def test_a_continuation_is_streamed_over_a_socket(assistant: Assistant) -> None:
    body = {**TEXT, "logit_bias": NO_CONTROL_TOKENS}
    ready = Status(state="ready")
    with serve_in_thread("m", 0, status=lambda: ready) as (service, address):
        service.publish(assistant, "m")

        def post(**fields: Any) -> bytes:
            data = json.dumps({**body, **fields}).encode()
            headers = {"Content-Type": "application/json"}
            request = urllib.request.Request(f"{address}/v1/completions", data, headers)
            with urllib.request.urlopen(request, timeout=30) as response:
                return bytes(response.read())

        whole = json.loads(post())["choices"][0]["text"]
        *events, done, end = post(stream=True).decode().split("\n\n")
        assert (done, end) == ("data: [DONE]", "")
        chunks = [json.loads(event.removeprefix("data: ")) for event in events]
        assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == whole
        assert len(whole) == len("abc") + 4
