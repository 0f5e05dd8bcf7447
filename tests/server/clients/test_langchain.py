"""A tour with LangChain's ChatOpenAI: plain, streamed, tools, structured output."""

from typing import Any, Literal

import pytest
from pydantic import BaseModel

langchain_openai = pytest.importorskip("langchain_openai")
pytestmark = pytest.mark.ci

QUESTION = "the weather?"


class Weather(BaseModel):
    """The weather in a city."""

    city: Literal["Rome", "Oslo"]
    rain: bool


@pytest.fixture(scope="module")
def chat(address: str) -> Any:
    return langchain_openai.ChatOpenAI(
        model="m", base_url=address, api_key="unused", max_retries=0, seed=3, max_tokens=150
    )


def test_a_stream_has_the_text_of_the_whole_reply(chat: Any) -> None:
    short = chat.bind(max_tokens=12)
    whole = short.invoke(QUESTION)
    assert whole.usage_metadata["output_tokens"] <= 12
    assert "".join(chunk.content for chunk in short.stream(QUESTION)) == whole.content


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_is_parsed(chat: Any, method: str) -> None:
    report = chat.with_structured_output(Weather, method=method).invoke(QUESTION)
    assert isinstance(report, Weather)


def test_a_tool_is_called_and_its_result_sent_back(chat: Any) -> None:
    from langchain_core.messages import HumanMessage, ToolMessage

    forced = chat.bind_tools([Weather], tool_choice="any", parallel_tool_calls=False)
    called = forced.invoke(QUESTION)
    chunks = list(forced.stream(QUESTION))
    streamed = sum(chunks[1:], start=chunks[0])
    assert [call["args"] for call in streamed.tool_calls] == [
        call["args"] for call in called.tool_calls
    ]
    assert sum(bool(chunk.tool_call_chunks) for chunk in chunks) > 5
    results = []
    for call in called.tool_calls:
        Weather(**call["args"])
        results.append(ToolMessage("sunny", tool_call_id=call["id"]))
    assert results
    messages = [HumanMessage(QUESTION), called, *results]
    answer = chat.bind(max_tokens=12).invoke(messages)
    assert answer.content
