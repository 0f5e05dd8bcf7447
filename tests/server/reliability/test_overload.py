"""Many clients at once: streams that are cut leak nothing, and an overloaded server says so."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2 as httpx
import pytest

from chatwright.chat.assistant import Assistant
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.server.http_server import serve_in_thread
from chatwright.server.replies.engine_thread import Limits
from chatwright.server.service import Service
from chatwright.server.status import Status
from tests.server.small_model import NO_CONTROL_TOKENS, TOKENIZER, small_model

URL = "/v1/chat/completions"
N_SLOT = 8


def ask(seed: int, **fields: Any) -> dict[str, Any]:
    text = "abcdefgh"[seed % 8] * (1 + seed % 20)
    messages = [{"role": "user", "content": text}]
    bias = {"logit_bias": NO_CONTROL_TOKENS}
    return {"model": "m", "messages": messages, "seed": seed, "max_tokens": 24, **bias, **fields}


@contextmanager
def served(limits: Limits) -> Iterator[tuple[Service, str, Engine]]:
    with Engine(small_model(), EngineConfig(n_slot=N_SLOT)) as engine:
        ready = Status(state="ready")
        with serve_in_thread("m", 0, status=lambda: ready, limits=limits) as (service, address):
            service.publish(Assistant(engine, TOKENIZER), "m")
            yield service, address, engine


async def stream(client: httpx.AsyncClient, seed: int, n_read: int | None) -> str | None:
    """Read a stream to its end and return the text, or cut it after `n_read` lines."""
    text = ""
    async with client.stream("POST", URL, json=ask(seed, stream=True)) as response:
        assert response.status_code == 200
        n_line = 0
        async for line in response.aiter_lines():
            n_line += 1
            if n_line == n_read:
                return None
            if line.startswith("data: {"):
                choices = json.loads(line.removeprefix("data: "))["choices"]
                text += "".join(choice["delta"].get("content") or "" for choice in choices)
    return text


def run(address: str, work: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
    async def with_client() -> Any:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=address, limits=limits, timeout=60) as client:
            return await work(client)

    return asyncio.run(with_client())


def leaks(service: Service, engine: Engine) -> list[str]:
    """Return what cut streams left behind."""
    found = [] if service.engine.wait_until_idle(30) else ["open replies"]
    if engine.n_free_slot != N_SLOT:
        found.append(f"{N_SLOT - engine.n_free_slot} slots")
    return found


@pytest.mark.parametrize(
    "n_stream",
    [64, pytest.param(2_000, marks=[pytest.mark.full, pytest.mark.timeout(3600)])],
)
@pytest.mark.ci
def test_cut_streams_leak_nothing_and_change_no_other_stream(n_stream: int) -> None:
    """30 % of 64 concurrent streams are cut; the others equal the same request alone."""
    draw = random.Random(7)
    cuts = [draw.randrange(1, 40) if draw.random() < 0.3 else None for _ in range(n_stream)]
    with served(Limits(max_live=N_SLOT, max_waiting=64)) as (service, address, engine):
        gate = asyncio.Semaphore(64)

        async def one(client: httpx.AsyncClient, seed: int) -> str | None:
            async with gate:
                return await stream(client, seed, cuts[seed])

        async def all_streams(client: httpx.AsyncClient) -> list[str | None]:
            return await asyncio.gather(*(one(client, seed) for seed in range(n_stream)))

        texts = run(address, all_streams)
        assert leaks(service, engine) == []

        async def alone(client: httpx.AsyncClient) -> list[str]:
            replies = [await client.post(URL, json=ask(seed)) for seed in range(n_stream)]
            return [reply.json()["choices"][0]["message"]["content"] for reply in replies]

        whole = run(address, alone)
    n_cut = sum(cut is not None for cut in cuts)
    assert 0 < n_cut < n_stream
    assert [text for text in texts if text is not None] == [
        text for text, cut in zip(whole, cuts, strict=True) if cut is None
    ]


@pytest.mark.ci
def test_a_planted_leak_is_caught() -> None:
    """An assistant that forgets to cancel its requests keeps the slots of cut streams."""

    class Leaking(Assistant):
        def _abandon(self, reply: Any) -> None:
            pass

    with Engine(small_model(context_length=4096), EngineConfig(n_slot=N_SLOT)) as engine:
        ready = Status(state="ready")
        with serve_in_thread("m", 0, status=lambda: ready) as (service, address):
            service.publish(Leaking(engine, TOKENIZER), "m")

            async def cut(client: httpx.AsyncClient) -> None:
                body = ask(1, stream=True, max_tokens=4000)
                async with client.stream("POST", URL, json=body) as response:
                    async for _ in response.aiter_lines():
                        return

            run(address, cut)
            assert leaks(service, engine) == ["1 slots"]


@pytest.mark.ci
def test_ten_times_too_many_requests_are_answered_or_refused_with_a_time_to_come_back() -> None:
    limits = Limits(max_live=N_SLOT, max_waiting=N_SLOT)
    n_request = 10 * limits.max_open
    with served(limits) as (service, address, engine):

        async def one(client: httpx.AsyncClient, seed: int) -> tuple[int, str | None]:
            response = await client.post(URL, json=ask(seed))
            if response.status_code == 503:
                assert int(response.headers["retry-after"]) > 0
                assert response.json()["error"]["code"] == "server_full"
                return 503, None
            return response.status_code, response.json()["choices"][0]["message"]["content"]

        async def crowd(client: httpx.AsyncClient) -> list[tuple[int, str | None]]:
            return await asyncio.gather(*(one(client, seed) for seed in range(n_request)))

        answers = run(address, crowd)
        statuses = [status for status, _ in answers]
        assert set(statuses) == {200, 503}
        assert statuses.count(200) >= limits.max_open
        assert leaks(service, engine) == []

        # A client that comes back as it was told gets its reply.
        async def again(client: httpx.AsyncClient) -> list[tuple[int, str | None]]:
            refused = [seed for seed, status in enumerate(statuses) if status == 503]
            return [await one(client, seed) for seed in refused[:5]]

        assert [status for status, _ in run(address, again)] == [200] * 5
