"""The load test counts what the server sent, and its quantiles are those of numpy."""

import threading
from typing import Any

import numpy as np
import pytest

from chatwright.errors import InputError
from chatwright.evaluation.server_load import LoadConfig, LoadResult, measure_load
from chatwright.server.http_server import serve_in_thread
from chatwright.server.replies.engine_thread import Limits
from chatwright.server.status import Status
from tests.server.fake_assistant import FakeAssistant

READY = Status(state="ready")


def test_every_reply_and_token_is_counted() -> None:
    with serve_in_thread("m", 0, status=lambda: READY) as (service, url):
        assistant = FakeAssistant()
        service.publish(assistant, "m")
        result = measure_load(LoadConfig(url=url, n_client=4, n_request=10, max_tokens=6))
    assert (result.n_ok, result.n_refused, result.n_failed) == (10, 0, 0)
    assert (result.n_token, result.n_prompt_token) == (60, 30)
    assert len(result.first) == 10
    assert len(result.between) == 50
    prompts = [conversation[0].text for conversation, _ in assistant.seen]
    assert len(set(prompts)) == 10
    assert {len(prompt.split()) for prompt in prompts} == {50}


def test_requests_ask_for_the_given_model() -> None:
    with serve_in_thread("m", 0, status=lambda: READY) as (service, url):
        service.publish(FakeAssistant(), "m")
        named = measure_load(LoadConfig(url=url, model="m", n_client=1, n_request=1))
        unknown = measure_load(LoadConfig(url=url, model="other", n_client=1, n_request=1))
    assert (named.n_ok, unknown.n_ok, unknown.n_failed) == (1, 0, 1)


def test_refused_requests_are_counted_apart() -> None:
    gate = threading.Event()
    limits = Limits(max_live=1, max_waiting=0)
    with serve_in_thread("m", 0, status=lambda: READY, limits=limits) as (service, url):
        service.publish(FakeAssistant(before=lambda: gate.wait(30) or None), "m")
        results: list[Any] = []
        config = LoadConfig(url=url, n_client=1, n_request=1)
        first = threading.Thread(target=lambda: results.append(measure_load(config)))
        first.start()
        while service.engine.n_open < 1:
            assert first.is_alive()
        refused = measure_load(LoadConfig(url=url, n_client=2, n_request=5))
        gate.set()
        first.join()
    assert (refused.n_ok, refused.n_refused, refused.n_failed) == (0, 5, 0)
    assert results[0].n_ok == 1


def test_failures_are_counted_with_the_cause_of_the_first() -> None:
    class Failing(FakeAssistant):
        def reply(self, *arguments: Any, **options: Any) -> Any:
            raise InputError("This model knows no words.")

    with serve_in_thread("m", 0, status=lambda: READY) as (service, url):
        service.publish(Failing(), "m")
        result = measure_load(LoadConfig(url=url, n_client=2, n_request=3))
    assert (result.n_ok, result.n_failed) == (0, 3)
    assert "knows no words" in result.failure


def test_quantiles_are_those_of_numpy() -> None:
    times = list(np.random.default_rng(1).exponential(size=137))
    figures = LoadResult(n_ok=1, seconds=2.0, n_token=10, first=times, between=times).figures()
    for name, share in (("first_token_p50_ms", 0.5), ("between_tokens_p99_ms", 0.99)):
        expected = 1000 * np.quantile(times, share, method="inverted_cdf")
        assert figures[name] == pytest.approx(expected, abs=0.005)
    assert figures["tokens_per_second"] == 5.0


def test_wrong_addresses_and_numbers_are_refused() -> None:
    for settings, found in [
        ({"url": "x"}, "url"),
        ({"url": "http://127.0.0.1:1"}, "url"),
        ({"url": "http://127.0.0.1", "n_client": 0}, "n_client"),
    ]:
        with pytest.raises(InputError) as caught:
            measure_load(LoadConfig(**settings))  # type: ignore[arg-type]
        assert caught.value.field == found
