"""Thinking in the API: its own field in replies and requests, and a switch."""

import json
from collections.abc import Iterator

from chatwright.chat.reply_events import (
    Finished,
    ReplyEvent,
    TextDelta,
    ThinkingDelta,
    Usage,
)
from chatwright.chat.reply_form import FREE, ReplyForm
from chatwright.conversation import Conversation, Message, Text, Thinking
from chatwright.engine.messages import SamplingConfig
from tests.server.completions_api.test_chat_completions import ASK, URL, client_of
from tests.server.fake_assistant import FakeAssistant


class ThinkingAssistant(FakeAssistant):
    """Thinks before it answers, and records how thinking was switched."""

    def __init__(self) -> None:
        super().__init__()
        self.switches: list[bool | None] = []

    def reply(
        self,
        conversation: Conversation,
        sampling: SamplingConfig,
        thinking: bool | None = None,
        form: ReplyForm = FREE,
        *,
        user: str = "",
    ) -> Iterator[ReplyEvent]:
        self.seen.append((conversation, sampling))
        self.switches.append(thinking)
        yield ThinkingDelta("let me ")
        yield ThinkingDelta("see")
        yield TextDelta("yes")
        message = Message("assistant", (Thinking("let me see"), Text("yes")))
        yield Finished("stop", Usage(3, 5), message)


def test_thinking_is_a_field_of_whole_and_streamed_replies() -> None:
    with client_of(ThinkingAssistant()) as client:
        message = client.post(URL, json=ASK).json()["choices"][0]["message"]
        stream = client.post(URL, json={**ASK, "stream": True}).text
    assert (message["reasoning_content"], message["content"]) == ("let me see", "yes")
    events = [json.loads(event[6:]) for event in stream.split("\n\n")[:-2]]
    deltas = [event["choices"][0]["delta"] for event in events]
    assert "".join(delta.get("reasoning_content") or "" for delta in deltas) == "let me see"
    assert "".join(delta.get("content") or "" for delta in deltas) == "yes"


def test_a_reply_without_thinking_has_no_such_field() -> None:
    with client_of(FakeAssistant()) as client:
        message = client.post(URL, json=ASK).json()["choices"][0]["message"]
    assert "reasoning_content" not in message


def test_thinking_is_switched_per_request() -> None:
    assistant = ThinkingAssistant()
    with client_of(assistant) as client:
        for switch in ({}, {"enable_thinking": True}, {"enable_thinking": False}):
            assert client.post(URL, json={**ASK, **switch}).status_code == 200
    assert assistant.switches == [None, True, False]


def test_thinking_of_an_earlier_answer_is_sent_back() -> None:
    assistant = ThinkingAssistant()
    answer = {"role": "assistant", "content": "yes", "reasoning_content": "let me see"}
    messages = [*ASK["messages"], answer, {"role": "user", "content": "why?"}]
    with client_of(assistant) as client:
        assert client.post(URL, json={**ASK, "messages": messages}).status_code == 200
    [(conversation, _)] = assistant.seen
    assert conversation[1] == Message("assistant", (Thinking("let me see"), Text("yes")))


def test_thinking_of_a_user_is_refused() -> None:
    message = {"role": "user", "content": "hi", "reasoning_content": "hm"}
    with client_of(FakeAssistant()) as client:
        assert client.post(URL, json={**ASK, "messages": [message]}).status_code == 400
