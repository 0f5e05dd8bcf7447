"""A server on a loopback port with a small untrained model that calls tools."""

from collections.abc import Iterator

import pytest

from chatwright.chat.assistant import Assistant
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.server.http_server import serve_in_thread
from chatwright.server.status import Status
from chatwright.tokenizer.tokenizer import Tokenizer
from tests.server.byte_model import byte_model
from tests.tokenizer.templates.cases import write_case
from tests.tokenizer.templates.test_published_templates import open_case


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return open_case(write_case(tmp_path_factory.mktemp("tokenizer"), "qwen_tools"))


@pytest.fixture(scope="session")
def address(tokenizer: Tokenizer) -> Iterator[str]:
    """Return the address of the API."""
    ready = Status(state="ready")
    with (
        Engine(byte_model(tokenizer), EngineConfig(n_slot=4)) as engine,
        serve_in_thread("m", 0, status=lambda: ready) as (service, url),
    ):
        service.publish(Assistant(engine, tokenizer), "m")
        yield f"{url.removesuffix('/')}/v1"
        assert service.engine.wait_until_idle(30)
