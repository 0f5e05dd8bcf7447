"""A tour with the `llm` library, as its file of further OpenAI models describes a server."""

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

llm = pytest.importorskip("llm")
pytestmark = pytest.mark.ci


class Weather(BaseModel):
    """The weather. Without this setting an untrained model would add properties without end."""

    model_config = ConfigDict(extra="forbid")

    rain: bool


@pytest.fixture(scope="module")
def settings(address: str) -> dict[str, Any]:
    return {
        "model_id": "chatwright",
        "model_name": "m",
        "api_base": address,
        "supports_schema": True,
        "supports_tools": True,
    }


def model_of(settings: dict[str, Any], kind: str) -> Any:
    from llm.default_plugins import openai_models

    model = getattr(openai_models, kind)(**settings)
    model.key = "unused"
    return model


def test_a_stream_has_the_text_of_the_whole_reply(settings: dict[str, Any]) -> None:
    model = model_of(settings, "Chat")
    options = {"max_tokens": 12, "seed": 3}
    whole = model.prompt("the weather?", system="Be brief.", stream=False, **options).text()
    streamed = "".join(model.prompt("the weather?", system="Be brief.", **options))
    assert whole == streamed
    assert whole


def test_a_conversation_goes_on(settings: dict[str, Any]) -> None:
    conversation = model_of(settings, "Chat").conversation()
    for question in ("a", "b"):
        assert conversation.prompt(question, max_tokens=5, seed=3).text()


def test_a_schema_is_followed(settings: dict[str, Any]) -> None:
    model = model_of(settings, "Chat")
    response = model.prompt("the weather?", schema=Weather, max_tokens=60, stream=False)
    Weather.model_validate_json(response.text())


def test_a_tool_runs(settings: dict[str, Any]) -> None:
    calls = []

    def clock() -> str:
        """Return the time."""
        calls.append(1)
        return "12:00"

    model = model_of(settings, "Chat")
    response = model.prompt("time?", tools=[llm.Tool.function(clock)], max_tokens=40, stream=False)
    response.text()
    for call in response.tool_calls():
        assert call.name == "clock"
