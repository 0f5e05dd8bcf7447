"""Streamed and whole replies are equal; disconnecting cancels; no bad request causes a 5xx."""

import asyncio
import json
import random
import re
import threading

import pytest
from starlette.testclient import TestClient

from chatwright.conversation import Message, ToolResult
from chatwright.server.app import make_app
from chatwright.server.replies.engine_thread import Limits
from chatwright.tokenizer.tool_call_text import tool_call_message
from tests.server.fake_assistant import FakeAssistant

URL = "/v1/chat/completions"
ASK = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def client_of(assistant, **options):
    return TestClient(make_app(assistant, "m", **options), base_url="http://127.0.0.1")


@pytest.fixture(scope="module")
def client():
    with client_of(FakeAssistant()) as client:
        yield client


def streamed(client, request):
    """Return texts, finish reasons and usage as a streaming client collects them."""
    response = client.post(URL, json={**request, "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, done, end = response.text.split("\n\n")
    assert (done, end) == ("data: [DONE]", "")
    texts = {}
    reasons = {}
    usage = None
    for event in events:
        assert event.startswith("data: ")
        assert "\n" not in event
        chunk = json.loads(event.removeprefix("data: "))
        assert chunk["object"] == "chat.completion.chunk"
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            texts[choice["index"]] = texts.get(choice["index"], "") + (
                choice["delta"].get("content") or ""
            )
            reasons[choice["index"]] = choice["finish_reason"]
    return (
        [texts[index] for index in sorted(texts)],
        [reasons[index] for index in sorted(reasons)],
        usage,
    )


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("n", [1, 3])
def test_a_streamed_reply_equals_the_whole_reply(client, seed, n):
    request = {**ASK, "seed": seed, "n": n, "max_tokens": 9}
    whole = client.post(URL, json=request).json()
    texts, reasons, usage = streamed(client, {**request, "stream_options": {"include_usage": True}})
    assert texts == [choice["message"]["content"] for choice in whole["choices"]]
    assert reasons == [choice["finish_reason"] for choice in whole["choices"]]
    assert (
        usage
        == whole["usage"]
        == {
            "prompt_tokens": 3,
            "completion_tokens": 9 * n,
            "total_tokens": 3 + 9 * n,
            "prompt_tokens_details": {"cached_tokens": 0},
        }
    )


def test_usage_is_streamed_only_if_requested(client):
    assert streamed(client, ASK)[2] is None


def test_messages_become_a_conversation_with_its_tool_call():
    assistant = FakeAssistant()
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "command", "arguments": '{"text": "look up: \\"sea\\""}'},
    }
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [call],
            "refusal": None,
            "audio": None,
            "annotations": [],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "wide"},
    ]
    with client_of(assistant) as client:
        assert client.post(URL, json={"model": "m", "messages": messages}).status_code == 200
    assert assistant.seen[0][0] == [
        Message("system", "Be brief."),
        Message("user", "ab"),
        tool_call_message('look up: "sea"', "call_1"),
        Message("tool", (ToolResult("call_1", "wide"),)),
    ]


def error_of(response):
    body = response.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "code", "param"}
    assert body["error"]["message"]
    assert isinstance(body["error"]["type"], str)
    return body["error"]


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"tools": [{"type": "function"}]}, "tools", "missing_field"),
        ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
        ({"tool_choice": "any"}, "tool_choice", "invalid_value"),
        ({"response_format": {"type": "xml"}}, "response_format", "invalid_value"),
        ({"modalities": ["audio"]}, "modalities", "invalid_value"),
        ({"reasoning_effort": "high"}, "reasoning_effort", "unsupported_field"),
        ({"temprature": 1}, "temprature", "unsupported_field"),
        ({"temperature": 2.1}, "temperature", "invalid_value"),
        ({"temperature": "0.5"}, "temperature", "invalid_value"),
        ({"temperature": True}, "temperature", "invalid_value"),
        ({"top_p": 0}, "top_p", "invalid_value"),
        ({"n": 0}, "n", "invalid_value"),
        ({"n": 9}, "n", "invalid_value"),
        ({"max_tokens": 0}, "max_tokens", "invalid_value"),
        ({"max_tokens": 1, "max_completion_tokens": 2}, None, "invalid_value"),
        ({"seed": 2**63}, "seed", "invalid_value"),
        ({"stop": ["a"] * 5}, "stop", "invalid_value"),
        ({"stop": ""}, "stop", "invalid_value"),
        ({"logit_bias": {"x": 1}}, "logit_bias", "invalid_value"),
        ({"logit_bias": {"1": 101}}, "logit_bias", "invalid_value"),
        ({"top_logprobs": 2}, None, "invalid_value"),
        ({"stream_options": {"include_usage": True}}, None, "invalid_value"),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": None}, "messages", "missing_field"),
        ({"messages": [{"role": "root", "content": "x"}]}, "messages", "invalid_value"),
        ({"messages": [{"role": "user"}]}, "messages", "invalid_value"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, None, "invalid_text"),
        ({"model": "gpt-5"}, "model", "model_not_found"),
    ],
)
def test_the_error_for_a_wrong_field_names_it(client, change, param, code):
    response = client.post(
        URL, content=json.dumps({**ASK, **change}), headers={"content-type": "application/json"}
    )
    error = error_of(response)
    assert response.status_code == (404 if code == "model_not_found" else 400)
    assert error["code"] == code
    assert (
        error["param"] is None if param is None else re.split(r"[.\[]", error["param"])[0] == param
    )


@pytest.mark.parametrize(
    "change",
    [
        {"user": "u"},
        {"store": True},
        {"metadata": {"a": "b"}},
        {"service_tier": "auto"},
        {"safety_identifier": "s"},
        {"prompt_cache_key": "k"},
        {"tools": [], "tool_choice": "auto", "parallel_tool_calls": False},
        {"response_format": {"type": "text"}, "modalities": ["text"]},
        {"temperature": None, "stop": None, "tools": None, "stream_options": None},
        {"temperature": 0},
        {"top_p": 1},
        {"stop": "x"},
        {"seed": -1},
    ],
)
def test_fields_that_clients_send_by_default_are_accepted(client, change):
    assert client.post(URL, json={**ASK, **change}).status_code == 200


def test_no_error_repeats_text_of_the_conversation(client):
    secret = "my secret"
    wrong_messages = (
        {"role": "user", "content": secret, "x": secret},
        {"role": secret, "content": secret},
        {"role": "user", "content": [secret]},
    )
    for change in (
        {"temperature": "x"},
        {"stop": [secret] * 9},
        *({"messages": [message]} for message in wrong_messages),
    ):
        response = client.post(
            URL, json={**ASK, "messages": [{"role": "user", "content": secret}], **change}
        )
        assert response.status_code == 400
        assert secret not in response.text


WRONG_VALUES = [
    None,
    True,
    -1,
    0,
    1e308,
    10**400,
    "",
    "x",
    "\ud800",
    "\x00",
    [],
    {},
    [[]],
    [None],
    {"": {}},
    {"role": "user"},
    "🙂" * 300,
]
FULL = {
    **ASK,
    "seed": 1,
    "stop": ["a"],
    "logit_bias": {"1": 2},
    "stream": True,
    "stream_options": {"include_usage": True},
    "max_tokens": 4,
}


def malformed(draw: random.Random) -> bytes:
    """Return a valid request with wrong values and names, cut bytes or random bytes in it."""

    def corrupt(value):
        if draw.random() < 0.15:
            return draw.choice(WRONG_VALUES)
        if isinstance(value, dict):
            return {
                (draw.choice(["", "x", key, key, key])): corrupt(inner)
                for key, inner in value.items()
            }
        return [corrupt(inner) for inner in value] if isinstance(value, list) else value

    body = json.dumps(corrupt(FULL)).encode()
    match draw.randrange(4):
        case 0:
            return body[: draw.randrange(len(body) + 1)]
        case 1:
            index = draw.randrange(len(body))
            return body[:index] + bytes(draw.randrange(256) for _ in range(3)) + body[index:]
        case _:
            return body


HAND_PICKED = [
    b"",
    b"null",
    b"[]",
    b"1",
    b'"x"',
    b"NaN",
    b"\xff\xfe{}",
    b"{}{}",
    b'{"model": NaN}',
    b'{"n": ' + b"9" * 5000 + b"}",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"messages": [' + b"{}," * 20_000 + b"{}]}",
]


def test_malformed_bodies_are_4xx_errors(client):
    draw = random.Random(7)
    bodies = HAND_PICKED + [malformed(draw) for _ in range(400)]
    n_refused = 0
    for body in bodies:
        response = client.post(URL, content=body, headers={"content-type": "application/json"})
        assert response.status_code in (200, 400, 404), body[:200]
        if response.status_code != 200:
            n_refused += 1
            error_of(response)
    assert len(HAND_PICKED) + 200 < n_refused, "most of the corrupted requests must be invalid"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/../page.js", 200),
        ("GET", "/app.py", 404),
        ("GET", URL, 405),
        ("DELETE", "/v1/models", 405),
        ("GET", "/docs", 404),
        ("GET", "/redoc", 404),
        ("GET", "/v1/models/other", 404),
        ("PUT", URL, 405),
    ],
)
def test_wrong_paths_and_methods_are_errors_in_the_same_shape(client, method, path, status):
    response = client.request(method, path, headers={"content-type": "application/json"})
    assert response.status_code == status
    if status != 200:
        error_of(response)


def test_an_unexpected_error_shows_an_id_and_no_text(caplog):
    def bug():
        # Joined here, because the logged traceback shows source lines.
        raise KeyError(" ".join(["conversation", "text"]))

    with client_of(FakeAssistant(before=bug)) as client:
        response = client.post(URL, json=ASK)
    assert response.status_code == 500
    incident = error_of(response)["message"].rsplit(" ", 1)[1]
    assert incident in caplog.text
    assert "KeyError" in caplog.text
    assert "conversation text" not in response.text + caplog.text


def test_a_conversation_that_the_model_refuses_gives_status_400_streamed_or_not():
    def refuse():
        raise ValueError("turn 0 is odd: change it")

    with client_of(FakeAssistant(before=refuse)) as client:
        for stream in (False, True):
            response = client.post(URL, json={**ASK, "stream": stream})
            assert response.status_code == 400
            assert "change it" in error_of(response)["message"]


def test_a_full_queue_gives_status_503_with_retry_after():
    gate = threading.Event()
    inside = threading.Event()

    def wait():
        inside.set()
        gate.wait(30)

    with client_of(
        FakeAssistant(before=wait), limits=Limits(max_live=1, max_waiting=1, retry_after=4)
    ) as client:
        engine = client.app.state.service.engine
        first = threading.Thread(target=client.post, args=(URL,), kwargs={"json": ASK})
        first.start()
        assert inside.wait(30)
        # One slot is left, so neither of the two replies is accepted.
        refused = client.post(URL, json={**ASK, "n": 2})
        gate.set()
        first.join()
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "4"
        assert error_of(refused)["code"] == "server_full"
        assert client.post(URL, json={**ASK, "n": 2}).status_code == 200
        assert engine.n_open == 0


def disconnect(app, request, after_messages):
    """Send a request as a raw ASGI client that disconnects after some messages of the response."""

    async def run():
        body = json.dumps(request).encode()
        gone = asyncio.Event()
        received = []
        pending = [{"type": "http.request", "body": body, "more_body": False}]
        if after_messages == 0:
            gone.set()

        async def receive():
            if pending:
                return pending.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            received.append(message)
            if len(received) >= after_messages:
                gone.set()

        headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "path": URL,
            "raw_path": URL.encode(),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "headers": headers,
        }
        await asyncio.wait_for(app(scope, receive, send), 30)
        return received

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("stream", "after_messages"), [(True, 0), (True, 1), (True, 5), (False, 0)]
)
def test_disconnecting_cancels_the_replies(stream, after_messages):
    assistant = FakeAssistant(endless=True)  # if it is not canceled, it never ends
    app = make_app(assistant, "m")
    disconnect(app, {**ASK, "stream": stream, "n": 2}, after_messages)
    engine = app.state.service.engine
    assert engine.wait_until_idle(30)
    assert assistant.n_closed == len(assistant.seen)
    engine.close()


def test_a_failure_during_a_stream_is_an_error_event_without_done():
    class FailingAssistant(FakeAssistant):
        def reply(self, conversation, sampling, thinking=None, form=None, *, user=""):
            yield from list(super().reply(conversation, sampling))[:3]
            raise KeyError("x")

    with client_of(FailingAssistant()) as client:
        text = client.post(URL, json={**ASK, "stream": True}).text
    *_, last, end = text.split("\n\n")
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "internal_error"
    assert end == ""
    assert "[DONE]" not in text
