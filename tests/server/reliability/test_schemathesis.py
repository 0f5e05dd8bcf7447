"""Schemathesis makes requests from the OpenAPI document: valid ones, and ones that break it."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from starlette.responses import Response
from starlette.testclient import TestClient

from chatwright.chat.assistant import Assistant
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.server.access.route_access import PUBLIC
from chatwright.server.app import make_app
from tests.server.reliability.malformed_requests import problem
from tests.server.small_model import TOKENIZER, small_model

pytestmark = pytest.mark.ci


@pytest.fixture(scope="module")
def app() -> Iterator[FastAPI]:
    with Engine(small_model(), EngineConfig(n_slot=2)) as engine:
        yield make_app(Assistant(engine, TOKENIZER), "m")


def problems(app: FastAPI, n_example: int) -> dict[str, str]:
    """Return what is wrong with the responses, by operation; it is empty if all is well."""
    found: dict[str, str] = {}
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        document = client.get("/openapi.json").json()
        config = SchemathesisConfig.from_dict({"generation": {"mode": "all"}})
        schema = schemathesis.openapi.from_dict(document, config=config)
        for result in schema.get_all_operations():
            operation = result.ok()
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                try_operation(client, operation, mode, n_example, found)
        assert app.state.service.engine.wait_until_idle(60)
    return found


def try_operation(
    client: TestClient, operation: Any, mode: GenerationMode, n_example: int, found: dict[str, str]
) -> None:
    @settings(
        max_examples=n_example,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def try_case(case: Any) -> None:
        arguments = case.as_transport_kwargs(base_url="http://localhost")
        request = {
            "method": arguments["method"],
            "url": arguments["url"],
            "headers": {name: str(value) for name, value in arguments["headers"].items()},
        }
        for name in ("json", "data", "params"):
            if arguments.get(name) is not None:
                request["content" if name == "data" else name] = arguments[name]
        if wrong := problem(client, request):
            found[operation.label] = wrong

    with suppress(Unsatisfiable):  # a route without body and parameters has no invalid request
        try_case()


@pytest.mark.parametrize("n_example", [4, pytest.param(200, marks=pytest.mark.full)])
def test_no_request_from_the_document_is_a_server_error(app: FastAPI, n_example: int) -> None:
    assert problems(app, n_example) == {}
    requests = app.state.service.engine.metrics.requests
    sent = [sample.value for metric in requests.collect() for sample in metric.samples]
    assert sum(sent) > 20 * n_example


def test_a_planted_crash_is_caught(app: FastAPI) -> None:
    @app.get("/planted/{number}", dependencies=[PUBLIC])
    async def crash(number: int) -> Response:
        return Response(str(1 // number))

    assert "GET /planted/{number}" in problems(app, 1)
