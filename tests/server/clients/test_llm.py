"""A tour with the `llm` library, as its file of further OpenAI models describes a server."""

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from chatwright.tokenizer.tokenizer import Tokenizer

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


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_tool_is_called(
    settings: dict[str, Any], tokenizer: Tokenizer, is_streamed: bool
) -> None:
    """`llm` cannot require a call, so a bias makes the model begin one."""

    def weather(city: str) -> str:
        """Return the weather in a city."""
        return f"sunny in {city}"

    assert tokenizer.chat_format is not None
    assert tokenizer.chat_format.tools is not None
    begin, _ = tokenizer.chat_format.tools.call_ids
    # Otherwise an untrained model would not end its city, or add properties without end.
    ends = {str(tokenizer.encode('"')[0]): 40, str(tokenizer.encode("}")[0]): 20}
    model = model_of(settings, "Chat")
    response = model.prompt(
        "the weather?",
        tools=[llm.Tool.function(weather)],
        max_tokens=150,
        logit_bias={str(begin): 100, **ends},
        seed=3,
        stream=is_streamed,
    )
    response.text()
    calls = response.tool_calls()
    assert calls
    assert {call.name for call in calls} == {"weather"}
    results = response.execute_tool_calls()
    assert [one.output for one in results] == [
        f"sunny in {call.arguments['city']}" for call in calls
    ]
