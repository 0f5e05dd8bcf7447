"""The counts at /metrics equal what was sent, and hold no text."""

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from chatwright.chat.assistant import Assistant
from chatwright.chat.reply_events import Finished, TextDelta, Usage
from chatwright.conversation import Message
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.server.app import make_app
from chatwright.server.errors import ApiError
from chatwright.server.metrics import Metrics
from chatwright.server.model_identity import ModelIdentity
from chatwright.server.replies.engine_thread import Limits
from chatwright.server.replies.pending_reply import Failed
from tests.server.fake_assistant import FakeAssistant
from tests.server.small_model import NO_CONTROL_TOKENS, TOKENIZER, small_model

URL = "/v1/chat/completions"
SECRET = "hgfedcba"


def ask(**fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": SECRET}]
    bias = {"logit_bias": NO_CONTROL_TOKENS}
    return {"model": "m", "messages": messages, "max_tokens": 7, "user": "anna", **bias, **fields}


def values(client: TestClient) -> dict[tuple[str, ...], float]:
    """Return the value of each sample by its name and the values of its labels."""
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    assert SECRET not in response.text
    assert "anna" not in response.text
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


@pytest.fixture(scope="module")
def assistant() -> Iterator[Assistant]:
    with Engine(small_model(), EngineConfig(n_slot=2)) as engine:
        yield Assistant(engine, TOKENIZER)


def test_tokens_and_times_are_counted_as_the_responses_say(assistant: Assistant) -> None:
    with TestClient(make_app(assistant, "m"), base_url="http://localhost") as client:
        usages = [client.post(URL, json=ask(seed=seed)).json()["usage"] for seed in range(3)]
        client.post(URL, json=ask(seed=3, stream=True))
        found = values(client)
        n_prompt_token = (
            sum(usage["prompt_tokens"] for usage in usages) + usages[0]["prompt_tokens"]
        )
        assert found["chatwright_prompt_tokens_total",] == n_prompt_token
        assert found["chatwright_sampled_tokens_total",] == 4 * 7
        assert found["chatwright_time_to_first_token_seconds_count",] == 4
        assert found["chatwright_time_between_tokens_seconds_count",] == 4 * 6
        assert found["chatwright_replies_total", "length"] == 4
        assert found["chatwright_http_requests_total", "POST", URL, "200"] == 4
        assert found["chatwright_open_replies",] == 0


def test_requests_are_counted_by_route_and_status() -> None:
    with TestClient(make_app(FakeAssistant(), "m"), base_url="http://localhost") as client:
        client.get("/v1/models/one")
        client.get("/v1/models/two")
        client.head("/health")  # answered and counted as GET
        client.get("/nowhere")
        client.post(URL, content="{", headers={"content-type": "application/json"})
        client.request("BREW", "/health")
        client.get("/health", headers={"host": "evil.example"})
        found = values(client)
    prefix = "chatwright_http_requests_total"
    requests = {key[1:]: value for key, value in found.items() if key[0] == prefix}
    assert requests == {
        ("GET", "/v1/models/{name:path}", "404"): 2,
        ("GET", "/health", "200"): 1,
        ("GET", "", "404"): 1,
        ("POST", URL, "400"): 1,
        ("", "", "405"): 1,
        ("GET", "", "421"): 1,
    }


def test_the_served_model_and_the_queue_are_shown() -> None:
    limits = Limits(max_live=1, max_waiting=3)
    app = make_app(None, "m", limits=limits)
    with TestClient(app, base_url="http://localhost") as client:
        assert not [key for key in values(client) if key[0] == "chatwright_model_info"]
        identity = ModelIdentity(weights="abc", version="v2")
        app.state.service.publish(FakeAssistant(), "m", identity=identity)
        found = values(client)
        assert found["chatwright_model_info", "m", "v2", "abc"] == 1
        assert found["chatwright_max_open_replies",] == 4


def test_times_are_those_of_the_clock_and_every_reply_is_counted_once() -> None:
    now = [10.0]
    metrics = Metrics(clock=lambda: now[0])
    timer = metrics.reply_timer()
    for time, event in [
        (12.0, TextDelta("a")),
        (12.5, TextDelta("b")),
        (15.5, TextDelta("c")),
        (16.0, Finished("stop", Usage(5, 3, 2), Message("assistant", "abc"))),
        (16.0, None),
    ]:
        now[0] = time
        timer.record(event)
    for last in (Failed(ApiError(503, "", code="x")), Failed(ApiError(400, "", code="x")), None):
        other = metrics.reply_timer()
        other.record(last)
        other.record(None)

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"chatwright_{name}", labels)

    assert value("time_to_first_token_seconds_sum") == 2.0
    assert value("time_between_tokens_seconds_sum") == 3.5
    assert value("time_between_tokens_seconds_bucket", le="0.5") == 1
    assert value("cached_prompt_tokens_total") == 2
    outcomes = ("stop", "failed", "refused", "canceled")
    assert [value("replies_total", outcome=outcome) for outcome in outcomes] == [1, 1, 1, 1]
