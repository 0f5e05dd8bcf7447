"""A tour with the official `openai` client: plain, streamed, async, tools, structured output."""

import asyncio
import json
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

openai = pytest.importorskip("openai")

MESSAGES: list[Any] = [{"role": "user", "content": "the weather?"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Rome", "Oslo"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


class Report(BaseModel):
    """Structured output."""

    city: Literal["Rome", "Oslo"]
    degrees: list[Literal[1, 2, 3]] = Field(min_length=1, max_length=2)
    rain: bool


@pytest.fixture(scope="module")
def client(address: str) -> Any:
    return openai.OpenAI(base_url=address, api_key="unused", max_retries=0)


def settings(**others: Any) -> dict[str, Any]:
    return {"model": "m", "messages": MESSAGES, "max_tokens": 12, "seed": 3, **others}


def test_models_are_listed(client: Any) -> None:
    assert [model.id for model in client.models.list()] == ["m"]


def test_a_stream_has_the_text_of_the_whole_reply(client: Any) -> None:
    whole = client.chat.completions.create(**settings(n=2, logprobs=True, top_logprobs=2))
    stream = client.chat.completions.create(
        **settings(n=2), stream=True, stream_options={"include_usage": True}
    )
    texts, usage = ["", ""], None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts == [choice.message.content for choice in whole.choices]
    assert usage is not None
    assert usage.completion_tokens == whole.usage.completion_tokens
    assert usage.prompt_tokens_details.cached_tokens >= 0
    tokens = whole.choices[0].logprobs.content
    assert len(tokens[0].top_logprobs) == 2
    assert sum(token.logprob for token in tokens) < 0


def test_the_asynchronous_client_gets_the_same_reply(client: Any, address: str) -> None:
    async def ask() -> list[Any]:
        async with openai.AsyncOpenAI(
            base_url=address, api_key="unused", max_retries=0
        ) as asynchronous:
            create = asynchronous.chat.completions.create
            whole = await asyncio.gather(*(create(**settings(seed=seed)) for seed in (3, 4)))
            stream = await create(**settings(), stream=True)
            pieces = [
                choice.delta.content or "" async for chunk in stream for choice in chunk.choices
            ]
            return [*(one.choices[0].message.content for one in whole), "".join(pieces)]

    first, second, streamed = asyncio.run(ask())
    expected = [
        client.chat.completions.create(**settings(seed=seed)).choices[0].message.content
        for seed in (3, 4)
    ]
    assert [first, second, streamed] == [*expected, expected[0]]


def test_structured_output_is_parsed(client: Any) -> None:
    request = settings(max_tokens=200, response_format=Report)
    report = client.chat.completions.parse(**request).choices[0].message.parsed
    assert isinstance(report, Report)
    with client.chat.completions.stream(**request) as stream:
        streamed = stream.get_final_completion().choices[0].message.parsed
    assert streamed == report


def test_a_tool_is_called_and_its_result_sent_back(client: Any) -> None:
    request = settings(max_tokens=200, tools=[WEATHER], tool_choice="required")
    choice = client.chat.completions.create(**request).choices[0]
    assert choice.finish_reason == "tool_calls"
    results = []
    for call in choice.message.tool_calls:
        assert json.loads(call.function.arguments)["city"] in ("Rome", "Oslo")
        results.append({"role": "tool", "tool_call_id": call.id, "content": "sunny"})
    with client.chat.completions.stream(**request) as stream:
        n_piece = sum(event.type == "tool_calls.function.arguments.delta" for event in stream)
        streamed = stream.get_final_completion().choices[0].message.tool_calls
    assert n_piece > 2 * len(streamed), "the arguments came in pieces"
    assert [call.function.arguments for call in streamed] == [
        call.function.arguments for call in choice.message.tool_calls
    ]
    messages = [*MESSAGES, choice.message, *results]
    answer = client.chat.completions.create(
        **settings(messages=messages, tools=[WEATHER], tool_choice="none")
    )
    assert answer.choices[0].message.content


def test_errors_are_the_clients_exceptions(client: Any) -> None:
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(**settings(temperature=9))
    assert wrong.value.param == "temperature"
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(**settings(model="other"))


def test_texts_are_continued(client: Any) -> None:
    whole = client.completions.create(model="m", prompt="the cat", max_tokens=5, seed=1, logprobs=1)
    stream = client.completions.create(
        model="m", prompt="the cat", max_tokens=5, seed=1, stream=True
    )
    text = "".join(choice.text for chunk in stream for choice in chunk.choices)
    assert text == whole.choices[0].text
