"""A tour with the official `anthropic` client: plain, streamed, async, tools."""

import asyncio
from typing import Any

import pytest

anthropic = pytest.importorskip("anthropic")
pytestmark = pytest.mark.ci

QUESTION: list[Any] = [{"role": "user", "content": "the weather?"}]
WEATHER: Any = {
    "name": "weather",
    "description": "The weather in a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Rome", "Oslo"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
SETTINGS: dict[str, Any] = {"model": "m", "max_tokens": 12, "extra_body": {"seed": 3}}


@pytest.fixture(scope="module")
def options(address: str) -> dict[str, Any]:
    return {"base_url": address.removesuffix("/v1"), "api_key": "unused", "max_retries": 0}


@pytest.fixture(scope="module")
def client(options: dict[str, Any]) -> Any:
    return anthropic.Anthropic(**options)


def test_a_stream_has_the_text_of_the_whole_reply(client: Any) -> None:
    whole = client.messages.create(messages=QUESTION, **SETTINGS)
    with client.messages.stream(messages=QUESTION, **SETTINGS) as stream:
        text = "".join(stream.text_stream)
        streamed = stream.get_final_message()
    assert text == whole.content[0].text
    assert streamed.usage.output_tokens == whole.usage.output_tokens
    assert streamed.stop_reason == whole.stop_reason == "max_tokens"


def test_the_asynchronous_client_gets_the_same_reply(client: Any, options: dict[str, Any]) -> None:
    async def ask() -> list[str]:
        async with anthropic.AsyncAnthropic(**options) as asynchronous:
            whole = await asynchronous.messages.create(messages=QUESTION, **SETTINGS)
            async with asynchronous.messages.stream(messages=QUESTION, **SETTINGS) as stream:
                return [whole.content[0].text, await stream.get_final_text()]

    expected = client.messages.create(messages=QUESTION, **SETTINGS).content[0].text
    assert asyncio.run(ask()) == [expected, expected]


def test_a_tool_is_called_and_its_result_sent_back(client: Any) -> None:
    settings = {**SETTINGS, "max_tokens": 200, "tools": [WEATHER], "tool_choice": {"type": "any"}}
    called = client.messages.create(messages=QUESTION, **settings)
    assert called.stop_reason == "tool_use"
    with client.messages.stream(messages=QUESTION, **settings) as stream:
        n_piece = sum(event.type == "input_json" for event in stream)
        streamed = stream.get_final_message()
    assert [block.input for block in streamed.content] == [block.input for block in called.content]
    assert n_piece > 2 * len(called.content), "the arguments came in pieces"
    results = []
    for block in called.content:
        assert block.input["city"] in ("Rome", "Oslo")
        results.append({"type": "tool_result", "tool_use_id": block.id, "content": "sunny"})
    turns = [
        *QUESTION,
        {"role": "assistant", "content": called.content},
        {"role": "user", "content": results},
    ]
    settings |= {"max_tokens": 12, "tool_choice": {"type": "none"}}
    answer = client.messages.create(messages=turns, **settings)
    assert answer.content[0].text


def test_errors_are_the_clients_exceptions(client: Any) -> None:
    wrong = {**SETTINGS, "extra_body": {"temperature": 9}}
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(messages=QUESTION, **wrong)
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(messages=QUESTION, **{**SETTINGS, "model": "other"})
