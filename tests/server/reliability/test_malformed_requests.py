"""Thousands of malformed requests: no 5xx, and each 4xx in the shape of OpenAI's errors."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.testclient import TestClient

from chatwright.chat.assistant import Assistant
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.server.access import PUBLIC
from chatwright.server.app import make_app
from tests.server.reliability.malformed_requests import BODIES, problem, requests
from tests.server.small_model import TOKENIZER, small_model


@pytest.fixture
def app() -> Iterator[FastAPI]:
    with Engine(small_model(), EngineConfig(n_slot=2)) as engine:
        app = make_app(Assistant(engine, TOKENIZER), "m")
        yield app
        assert engine.n_free_slot == 2, "a reply kept its slot in the cache"


def problems(app: FastAPI, seed: int, count: int) -> list[str]:
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        found = [problem(client, request) for request in requests(app, seed, count)]
        assert app.state.service.engine.wait_until_idle(60)
    return [one for one in found if one]


def test_every_route_with_a_body_is_tried(app: FastAPI) -> None:
    posts = {route.path for route in app.routes if "POST" in route.methods}  # type: ignore[attr-defined]
    app.state.service.engine.close()
    assert posts == BODIES.keys()


@pytest.mark.parametrize(
    ("seed", "count"),
    [
        (1, 400),
        pytest.param(2, 4_000, marks=pytest.mark.ci),
        pytest.param(3, 100_000, marks=[pytest.mark.full, pytest.mark.timeout(3600)]),
    ],
)
def test_no_malformed_request_is_a_server_error(app: FastAPI, seed: int, count: int) -> None:
    assert problems(app, seed, count) == []


def test_a_planted_crash_and_a_planted_plain_error_are_caught(app: FastAPI) -> None:
    @app.get("/planted/crash", dependencies=[PUBLIC])
    async def crash() -> Response:
        raise ZeroDivisionError

    @app.get("/planted/plain", dependencies=[PUBLIC])
    async def plain() -> Response:
        return PlainTextResponse("not found", status_code=404)

    @app.get("/planted/shape", dependencies=[PUBLIC])
    async def shape() -> Response:
        return JSONResponse({"detail": "no"}, status_code=422)

    found = problems(app, 4, 600)
    for name in ("crash", "plain", "shape"):
        assert any(name in one for one in found), name
    assert all("planted" in one for one in found)
