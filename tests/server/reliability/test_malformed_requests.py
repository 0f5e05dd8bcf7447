"""Thousands of malformed requests: no 5xx, and each 4xx in the shape of OpenAI's errors."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.testclient import TestClient

from chatwright.chat.assistant import Assistant
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.server.access.accounts import Accounts
from chatwright.server.access.route_access import PUBLIC
from chatwright.server.app import make_app
from chatwright.store.store import Store
from tests.server.reliability.malformed_requests import BODIES, problem, requests
from tests.server.small_model import TOKENIZER, small_model


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    """A server with a model, and with the store of a single person."""
    config = EngineConfig(n_slot=2)
    with Engine(small_model(), config) as engine, Store(tmp_path / "store.db") as store:
        accounts = Accounts(store, has_login=False)
        app = make_app(Assistant(engine, TOKENIZER), "m", accounts=accounts)
        yield app
        assert engine.n_free_slot == 2, "a reply kept its slot in the cache"


def problems(app: FastAPI, seed: int, count: int, below: str = "/") -> list[str]:
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        found = [problem(client, request) for request in requests(app, seed, count, below)]
        assert app.state.service.engine.wait_until_idle(60)
    return [one for one in found if one]


def test_every_route_with_a_body_is_tried(app: FastAPI) -> None:
    documented = [route for route in app.routes if route.include_in_schema]
    posts = {route.path for route in documented if "POST" in route.methods}
    app.state.service.engine.close()
    assert posts == BODIES.keys()


@pytest.mark.parametrize(
    ("seed", "count"),
    [
        (1, 400),
        pytest.param(2, 3_000, marks=pytest.mark.ci),
        *(  # 100,000 in four parts, which can run in several processes
            pytest.param(seed, 25_000, marks=[pytest.mark.full, pytest.mark.timeout(7200)])
            for seed in range(3, 7)
        ),
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

    found = problems(app, 4, 100, below="/planted")
    for name in ("crash", "plain", "shape"):
        assert any(name in one for one in found), name
