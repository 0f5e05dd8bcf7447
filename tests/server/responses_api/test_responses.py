"""/v1/responses with the official client: equal to /v1/chat/completions, and continued by id."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from starlette.testclient import TestClient

from chatwright.chat.assistant import Assistant
from chatwright.chat.reply_events import Finished, ReplyEvent, TextDelta, ThinkingDelta, Usage
from chatwright.conversation import Message, ToolResult, assistant_message
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.messages import TokenSampled
from chatwright.server.access.access_keys import KeyFile, KeyRing
from chatwright.server.app import make_app
from chatwright.tokenizer.tool_call_text import tool_call_message
from tests.server.byte_model import client_of as byte_model_client
from tests.server.fake_assistant import FakeAssistant
from tests.server.small_model import CONTEXT, NO_CONTROL_TOKENS, TOKENIZER, small_model

BIAS = {"logit_bias": NO_CONTROL_TOKENS}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(small_model(), EngineConfig(n_slot=2)) as engine:
        yield engine


def http_of(assistant: Any, **options: Any) -> TestClient:
    return TestClient(make_app(assistant, "m", **options), base_url="http://localhost")


def client_of(http: TestClient, api_key: str = "unused") -> openai.OpenAI:
    return openai.OpenAI(
        api_key=api_key, base_url="http://localhost/v1", http_client=http, max_retries=0
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_reply_is_that_of_chat_completions(engine: Engine, seed: int) -> None:
    with http_of(Assistant(engine, TOKENIZER)) as http:
        client = client_of(http)
        messages = [{"role": "system", "content": "ab"}, {"role": "user", "content": "abc"}]
        body = {"model": "m", "messages": messages, "max_tokens": 9, "seed": seed, **BIAS}
        chat = http.post("/v1/chat/completions", json={**body, "temperature": 0.9}).json()
        settings: dict[str, Any] = {
            "model": "m",
            "instructions": "ab",
            "input": "abc",
            "max_output_tokens": 9,
            "temperature": 0.9,
            "extra_body": {"seed": seed, **BIAS},
        }
        whole = client.responses.create(**settings)
        assert whole.output_text == chat["choices"][0]["message"]["content"]
        assert whole.status == "incomplete"
        assert whole.incomplete_details is not None
        assert whole.incomplete_details.reason == "max_output_tokens"
        assert whole.usage is not None
        assert whole.usage.input_tokens == chat["usage"]["prompt_tokens"]
        assert whole.usage.output_tokens == chat["usage"]["completion_tokens"]
        with client.responses.stream(**settings) as stream:
            events = list(stream)
        final = events[-1].response
        assert events[-1].type == "response.incomplete"
        pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
        assert "".join(pieces) == final.output_text == whole.output_text
        assert [event.sequence_number for event in events] == list(range(len(events)))


def test_the_events_have_names_and_openais_order() -> None:
    with http_of(FakeAssistant()) as http:
        body = {"model": "m", "input": "hi", "max_output_tokens": 4, "seed": 1, "stream": True}
        response = http.post("/v1/responses", json=body)
    kinds = []
    for block in response.text.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        kinds.append(event["type"].removeprefix("response."))
    deltas = ["output_text.delta"] * 4
    start = ["created", "in_progress", "output_item.added", "content_part.added"]
    end = ["output_text.done", "content_part.done", "output_item.done", "completed"]
    assert kinds == [*start, *deltas, *end]


def test_a_response_is_continued_by_its_id() -> None:
    assistant = FakeAssistant()
    with http_of(assistant) as http:
        client = client_of(http)
        first = client.responses.create(model="m", input="one", instructions="Be brief.")
        second = client.responses.create(model="m", input="two", previous_response_id=first.id)
        branch = client.responses.create(model="m", input="three", previous_response_id=first.id)
        third = client.responses.create(model="m", input="four", previous_response_id=second.id)
    one = [Message("user", "one"), Message("assistant", first.output_text)]
    two = [Message("user", "two"), Message("assistant", second.output_text)]
    seen = [conversation for conversation, _ in assistant.seen]
    # The instructions hold for one reply only, as OpenAI documents.
    assert seen[0] == [Message("system", "Be brief."), one[0]]
    assert seen[1] == [*one, two[0]]
    assert seen[2] == [*one, Message("user", "three")]
    assert seen[3] == [*one, *two, Message("user", "four")]
    assert third.previous_response_id == second.id
    assert branch.previous_response_id == first.id


def test_stored_responses_are_read_listed_and_deleted() -> None:
    with http_of(FakeAssistant()) as http:
        client = client_of(http)
        made = client.responses.create(model="m", input="one")
        assert client.responses.retrieve(made.id) == made
        [item] = client.responses.input_items.list(made.id).data
        assert item.content == "one"
        client.responses.delete(made.id)
        for call in (client.responses.retrieve, client.responses.delete):
            with pytest.raises(openai.NotFoundError) as missing:
                call(made.id)
            assert missing.value.code == "response_not_found"
        unstored = client.responses.create(model="m", input="one", store=False)
        with pytest.raises(openai.NotFoundError) as missing:
            client.responses.create(model="m", input="two", previous_response_id=unstored.id)
        assert missing.value.param == "previous_response_id"


def test_a_response_belongs_to_its_key(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    anna, bert = (file.add(name, ["chat"])[0] for name in ("anna", "bert"))
    with http_of(FakeAssistant(), keys=KeyRing(file)) as http:
        made = client_of(http, anna).responses.create(model="m", input="one")
        assert client_of(http, anna).responses.retrieve(made.id).id == made.id
        other = client_of(http, bert)
        calls: list[Any] = [
            lambda: other.responses.retrieve(made.id),
            lambda: other.responses.delete(made.id),
            lambda: other.responses.input_items.list(made.id),
            lambda: other.responses.create(model="m", input="x", previous_response_id=made.id),
        ]
        for call in calls:
            with pytest.raises(openai.NotFoundError):
                call()
        assert client_of(http, anna).responses.retrieve(made.id).id == made.id


class Scripted(FakeAssistant):
    """Replies with the same events each time."""

    def __init__(self, *events: ReplyEvent) -> None:
        super().__init__()
        self.events = events

    def reply(self, conversation: Any, sampling: Any, *arguments: Any, **settings: Any) -> Any:
        self.seen.append((conversation, sampling))
        yield from self.events


CALL = tool_call_message("COMMAND=SEARCH sea")
THINKS = (
    ThinkingDelta("hm", (TokenSampled("r", 0, 1, 0.0),) * 3),  # type: ignore[arg-type]
    TextDelta("so "),
    TextDelta("be it"),
    Finished("stop", Usage(9, 7, 4), Message("assistant", "so be it")),
)


def test_thinking_and_text_are_items_of_the_output() -> None:
    assistant = Scripted(*THINKS)
    with http_of(assistant) as http:
        client = client_of(http)
        whole = client.responses.create(model="m", input="hi")
        with client.responses.stream(model="m", input="hi") as stream:
            streamed = stream.get_final_response()
        for response in (whole, streamed):
            thinking, message = response.output
            assert thinking.content[0].text == "hm"
            assert message.content[0].text == response.output_text == "so be it"
            assert response.usage is not None
            assert response.usage.output_tokens_details.reasoning_tokens == 3
            assert response.usage.input_tokens_details.cached_tokens == 4
        # The client may send the output back itself, instead of an id.
        given = [{"role": "user", "content": "hi"}, *whole.to_dict()["output"]]
        client.responses.create(model="m", input=[*given, {"role": "user", "content": "b"}])
        client.responses.create(model="m", input="b", previous_response_id=whole.id)
    expected = [Message("user", "hi"), assistant_message("hm", "so be it"), Message("user", "b")]
    assert [conversation for conversation, _ in assistant.seen[2:]] == [expected, expected]


def test_a_tool_is_called_and_its_result_continues_the_response() -> None:
    assistant = Scripted(Finished("tool_call", Usage(9, 5), CALL))
    with http_of(assistant) as http:
        client = client_of(http)
        made = client.responses.create(model="m", input="hi")
        with client.responses.stream(model="m", input="hi") as stream:
            kinds = [event.type for event in stream]
        assert "response.function_call_arguments.done" in kinds
        [call] = made.output
        assert json.loads(call.arguments) == {"text": "COMMAND=SEARCH sea"}
        result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "wide"}
        client.responses.create(model="m", input=[result], previous_response_id=made.id)
    assert assistant.seen[2][0] == [
        Message("user", "hi"),
        tool_call_message("COMMAND=SEARCH sea", call.call_id),
        Message("tool", (ToolResult(call.call_id, "wide"),)),
    ]


def test_a_conversation_is_cut_only_if_the_client_allows_it(engine: Engine) -> None:
    turns = [
        {"role": "user", "content": "abcd" * 10},
        {"role": "assistant", "content": "abcd" * 10},
        {"role": "user", "content": "abc"},
    ]
    body = {"model": "m", "input": turns, "max_output_tokens": CONTEXT // 4, **BIAS}
    with http_of(Assistant(engine, TOKENIZER)) as http:
        for is_streamed in (False, True):
            refused = http.post("/v1/responses", json={**body, "stream": is_streamed})
            assert refused.status_code == 400
            assert refused.json()["error"]["code"] == "context_length_exceeded"
        long = http.post("/v1/responses", json={**body, "max_output_tokens": 10 * CONTEXT})
        assert (long.status_code, long.json()["error"]["param"]) == (400, "max_output_tokens")
        reply = http.post("/v1/responses", json={**body, "truncation": "auto"}).json()
        assert reply["chatwright"]["truncated"]["n_cut"] > 0


def test_a_reply_that_fails_ends_its_stream_with_a_failed_response() -> None:
    failed = Finished("failed", Usage(1, 1), Message("assistant", "a"), error="broken")
    with http_of(Scripted(TextDelta("a"), failed)) as http:
        with pytest.raises(openai.InternalServerError):
            client_of(http).responses.create(model="m", input="hi")
        body = {"model": "m", "input": "hi", "stream": True}
        last = http.post("/v1/responses", json=body).text.removesuffix("\n\n").split("\n\n")[-1]
        name, data = last.split("\n")
        response = json.loads(data.removeprefix("data: "))["response"]
        assert name == "event: response.failed"
        assert (response["status"], response["error"]["message"]) == ("failed", "broken")
        assert http.get(f"/v1/responses/{response['id']}").status_code == 404


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": []}, "input"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, None),
        ({"background": True}, "background"),
        ({"previous_response_id": "x"}, "previous_response_id"),
        ({"temperature": 3}, "temperature"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"conversation": "x"}, "conversation"),
    ],
)
def test_errors_name_the_field(change: dict[str, Any], param: str | None) -> None:
    with http_of(FakeAssistant()) as http:
        response = http.post("/v1/responses", json={"model": "m", "input": "hi", **change})
    assert response.status_code == 400
    found = response.json()["error"]["param"]
    assert found == param or (param is None and found.startswith("input"))


def test_tools_and_forms_of_the_text_are_those_of_chat_completions() -> None:
    schema = {
        "type": "object",
        "properties": {"text": {"type": "string", "enum": ["Paris", "Bonn"]}},
        "required": ["text"],
        "additionalProperties": False,
    }
    tool: Any = {"type": "function", "name": "weather", "parameters": schema, "strict": True}
    form: Any = {"type": "json_schema", "name": "place", "schema": schema, "strict": True}
    with byte_model_client() as http:
        client = client_of(http)
        settings: dict[str, Any] = {"model": "m", "input": "the weather?"}
        settings |= {"max_output_tokens": 200, "extra_body": {"seed": 1}}
        choice: Any = {"type": "function", "name": "weather"}
        called = client.responses.create(**settings, tools=[tool], tool_choice=choice)
        [call] = called.output
        assert (call.type, call.name) == ("function_call", "weather")
        assert json.loads(call.arguments)["text"] in ("Paris", "Bonn")
        assert called.tools[0].to_dict()["name"] == "weather"
        with client.responses.stream(**settings, tools=[tool], tool_choice=choice) as stream:
            kinds = [event.type for event in stream]
            [streamed] = stream.get_final_response().output
        assert (streamed.type, streamed.arguments) == ("function_call", call.arguments)
        assert kinds.count("response.function_call_arguments.delta") > 2
        written = client.responses.create(**settings, text={"format": form})
        assert json.loads(written.output_text)["text"] in ("Paris", "Bonn")
        assert written.text is not None
        assert written.text.to_dict()["format"]["schema"] == schema
        with pytest.raises(openai.BadRequestError) as refused:
            client.responses.create(**settings, text={"format": {**form, "schema": {"type": 1}}})
        assert refused.value.param == "text"
