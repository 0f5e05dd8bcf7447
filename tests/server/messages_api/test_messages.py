"""/v1/messages with the official client: equal to /v1/chat/completions, in Anthropic's shapes."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from starlette.testclient import TestClient

from chatwright.chat.assistant import Assistant
from chatwright.chat.reply_events import Finished, ReplyEvent, TextDelta, ThinkingDelta, Usage
from chatwright.conversation import Message, ToolResult, assistant_message
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.server.app import make_app
from chatwright.server.replies.engine_thread import Limits
from chatwright.tokenizer.tool_call_text import tool_call_message
from tests.server.byte_model import client_of as byte_model_client
from tests.server.fake_assistant import FakeAssistant
from tests.server.small_model import CONTEXT, NO_CONTROL_TOKENS, TOKENIZER, small_model

HI: list[Any] = [{"role": "user", "content": "hi"}]
ABC: list[Any] = [{"role": "user", "content": "abc"}]
BIAS = {"logit_bias": NO_CONTROL_TOKENS}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(small_model(), EngineConfig(n_slot=2)) as engine:
        yield engine


def http_of(assistant: Any, **options: Any) -> TestClient:
    return TestClient(make_app(assistant, "m", **options), base_url="http://localhost")


def client_of(http: TestClient) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        api_key="unused", base_url="http://localhost", http_client=http, max_retries=0
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_reply_is_that_of_chat_completions(engine: Engine, seed: int) -> None:
    with http_of(Assistant(engine, TOKENIZER)) as http:
        client = client_of(http)
        settings = {"temperature": 0.9, "top_p": 0.95, "top_k": 8}
        body = {"model": "m", "messages": ABC, "max_tokens": 9, "seed": seed, **BIAS, **settings}
        chat = http.post("/v1/chat/completions", json=body).json()
        extra = {"seed": seed, **BIAS, **settings}
        message = client.messages.create(model="m", messages=ABC, max_tokens=9, extra_body=extra)
        assert message.content[0].text == chat["choices"][0]["message"]["content"]
        assert (message.stop_reason, message.stop_sequence) == ("max_tokens", None)
        cached = message.usage.cache_read_input_tokens or 0
        assert message.usage.input_tokens + cached == chat["usage"]["prompt_tokens"]
        assert message.usage.output_tokens == chat["usage"]["completion_tokens"]
        ours: Any = message.to_dict()["chatwright"]
        assert ours["receipts"][0].keys() == chat["chatwright"]["receipts"][0].keys()
        with client.messages.stream(
            model="m", messages=ABC, max_tokens=9, extra_body=extra
        ) as stream:
            assert "".join(stream.text_stream) == message.content[0].text
            final = stream.get_final_message()
        assert [block.text for block in final.content] == [message.content[0].text]
        assert final.stop_reason == message.stop_reason
        assert final.usage.output_tokens == message.usage.output_tokens
        used = final.usage.input_tokens + (final.usage.cache_read_input_tokens or 0)
        assert used == chat["usage"]["prompt_tokens"]
        count = client.messages.count_tokens(model="m", messages=ABC)
        assert count.input_tokens == used


def test_the_events_have_names_and_anthropics_order() -> None:
    with http_of(FakeAssistant()) as http:
        body = {"model": "m", "messages": HI, "max_tokens": 4, "seed": 1, "stream": True}
        response = http.post("/v1/messages", json=body)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = []
    for block in response.text.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event["type"])
    deltas = ["content_block_delta"] * 4
    start = ["message_start", "content_block_start"]
    assert events == [*start, *deltas, "content_block_stop", "message_delta", "message_stop"]


def test_messages_become_a_conversation_with_tools_and_thinking() -> None:
    assistant = FakeAssistant()
    ephemeral = {"type": "ephemeral"}
    messages: list[Any] = [
        {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": ephemeral}]},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "call_1", "name": "command", "input": {"text": "look"}}
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "call_1",
                    "content": [{"type": "text", "text": "wide"}],
                }
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": ""},
                {"type": "text", "text": "so"},
            ],
        },
        {"role": "user", "content": "b"},
    ]
    with http_of(assistant) as http:
        client_of(http).messages.create(
            model="m",
            system=[{"type": "text", "text": "Be brief."}],
            messages=messages,
            max_tokens=3,
            stop_sequences=["END"],
            metadata={"user_id": "x"},
        )
    conversation, sampling = assistant.seen[0]
    assert conversation == [
        Message("system", "Be brief."),
        Message("user", "a"),
        tool_call_message("look", "call_1"),
        Message("tool", (ToolResult("call_1", "wide"),)),
        assistant_message("hm", "so"),
        Message("user", "b"),
    ]
    assert (sampling.max_tokens, sampling.stop) == (3, ("END",))


class Scripted(FakeAssistant):
    """Replies with the same events each time."""

    def __init__(self, *events: ReplyEvent) -> None:
        super().__init__()
        self.events = events

    def reply(self, *arguments: Any, **settings: Any) -> Iterator[ReplyEvent]:
        yield from self.events


CALL = tool_call_message("COMMAND=SEARCH sea")
THINKS = (
    ThinkingDelta("hm"),
    TextDelta("so "),
    TextDelta("be it"),
    Finished("tool_call", Usage(9, 5, 4), CALL),
)


def test_thinking_text_and_a_tool_call_are_blocks() -> None:
    with http_of(Scripted(*THINKS)) as http:
        client = client_of(http)
        whole = client.messages.create(model="m", messages=HI, max_tokens=9)
        with client.messages.stream(model="m", messages=HI, max_tokens=9) as stream:
            streamed = stream.get_final_message()
    for message in (whole, streamed):
        thinking, text, call = message.content
        assert (thinking.type, text.type, call.type) == ("thinking", "text", "tool_use")
        assert (thinking.thinking, text.text) == ("hm", "so be it")
        assert (call.name, call.input) == ("command", {"text": "COMMAND=SEARCH sea"})
        assert message.stop_reason == "tool_use"
        usage = message.usage
        assert (usage.input_tokens, usage.cache_read_input_tokens) == (5, 4)
        assert usage.output_tokens == 5


def test_a_stop_sequence_is_named() -> None:
    stopped = Finished("stop", Usage(1, 1), Message("assistant", "a"), stopped_by="END")
    with http_of(Scripted(TextDelta("a"), stopped)) as http:
        client = client_of(http)
        for stops, reason in ((["END", "X"], "stop_sequence"), (["X"], "end_turn")):
            message = client.messages.create(
                model="m", messages=HI, max_tokens=9, stop_sequences=stops
            )
            assert message.stop_reason == reason
            assert message.stop_sequence == ("END" if reason == "stop_sequence" else None)


def test_errors_have_anthropics_types(engine: Engine) -> None:
    limits = Limits(max_live=0, max_waiting=0)
    with http_of(Assistant(engine, TOKENIZER)) as http:
        client = client_of(http)
        with pytest.raises(anthropic.NotFoundError) as missing:
            client.messages.create(model="other", messages=HI, max_tokens=3)
        assert missing.value.type == "not_found_error"
        assert missing.value.request_id
        long: list[Any] = [{"role": "user", "content": "a" * 2 * CONTEXT}]
        with pytest.raises(anthropic.BadRequestError) as refused:
            client.messages.create(model="m", messages=long, max_tokens=3)
        assert refused.value.type == "invalid_request_error"
        body: Any = refused.value.body
        assert body["error"]["code"] == "context_length_exceeded"
        wrong = http.post("/v1/messages", content=b"x", headers={"content-type": "text/plain"})
        assert (wrong.status_code, wrong.json()["type"]) == (415, "error")
    with http_of(FakeAssistant(), limits=limits) as http:
        with pytest.raises(anthropic.APIStatusError) as full:
            client_of(http).messages.create(model="m", messages=HI, max_tokens=3)
        assert (full.value.status_code, full.value.type) == (503, "overloaded_error")


def test_an_old_message_is_not_cut_in_silence(engine: Engine) -> None:
    """Chat completions leave out the oldest messages and say so; here it is an error."""
    turns: list[Any] = [{"role": "user", "content": "abcd" * 10}] * 1
    turns += [{"role": "assistant", "content": "abcd" * 10}, *ABC]
    with http_of(Assistant(engine, TOKENIZER)) as http:
        chat = {"model": "m", "messages": turns, "max_tokens": 20, **BIAS}
        reply = http.post("/v1/chat/completions", json=chat).json()
        assert reply["chatwright"]["truncated"]["n_cut"] > 0
        for is_streamed in (False, True):
            response = http.post("/v1/messages", json={**chat, "stream": is_streamed})
            assert response.status_code == 400
            assert response.json()["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": None}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "system", "content": "a"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages[0].content"),
        ({"temperature": 3}, "temperature"),
        ({"container": "x"}, "container"),
        ({"tool_choice": {"type": "x"}}, "tool_choice.type"),
        ({"stop_sequences": ["a"] * 5}, "stop_sequences"),
    ],
)
def test_errors_name_the_field(change: dict[str, Any], param: str) -> None:
    with http_of(FakeAssistant()) as http:
        body = {"model": "m", "messages": HI, "max_tokens": 3, **change}
        response = http.post("/v1/messages", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_a_reply_that_fails_ends_its_stream_with_an_error_event() -> None:
    failed = Finished("failed", Usage(1, 1), Message("assistant", "a"), error="broken")
    with http_of(Scripted(TextDelta("a"), failed)) as http:
        client = client_of(http)
        with pytest.raises(anthropic.APIStatusError) as whole:
            client.messages.create(model="m", messages=HI, max_tokens=3)
        assert whole.value.status_code == 500
        with (
            pytest.raises(anthropic.APIStatusError) as streamed,
            client.messages.stream(model="m", messages=HI, max_tokens=3) as stream,
        ):
            list(stream)
        assert streamed.value.type == "api_error"


TEXT = {"type": "string", "enum": ["Paris", "Bonn"]}
TOOLS: list[Any] = [
    {
        "name": "weather",
        "description": "The weather.",
        "input_schema": {
            "type": "object",
            "properties": {"text": TEXT},
            "required": ["text"],
            "additionalProperties": False,
        },
    },
]


def test_a_tool_of_the_client_is_called_with_arguments_that_fit_its_schema() -> None:
    with byte_model_client() as http:
        client = client_of(http)
        question: list[Any] = [{"role": "user", "content": "the weather?"}]
        settings: dict[str, Any] = {"model": "m", "max_tokens": 200, "tools": TOOLS}
        choice: Any = {"type": "tool", "name": "weather"}
        extra = {"seed": 1}
        made = client.messages.create(
            messages=question, tool_choice=choice, extra_body=extra, **settings
        )
        with client.messages.stream(
            messages=question, tool_choice=choice, extra_body=extra, **settings
        ) as stream:
            n_piece = sum(event.type == "input_json" for event in stream)
            streamed = stream.get_final_message()
        assert n_piece > 2, "the arguments came in pieces"
        for message in (made, streamed):
            [call] = message.content
            assert (call.type, call.name, message.stop_reason) == (
                "tool_use",
                "weather",
                "tool_use",
            )
            assert call.input.keys() == {"text"}
            assert call.input["text"] in TEXT["enum"]
        assert streamed.content[0].input == made.content[0].input
        call = made.content[0]
        turns: list[Any] = [
            *question,
            {"role": "assistant", "content": [call.to_dict()]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "wet"}],
            },
        ]
        count = client.messages.count_tokens(model="m", messages=turns, tools=TOOLS)
        reply = client.messages.create(messages=turns, extra_body={"seed": 1}, **settings)
        assert reply.usage.input_tokens + (reply.usage.cache_read_input_tokens or 0) == (
            count.input_tokens
        )
