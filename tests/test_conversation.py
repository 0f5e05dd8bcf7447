"""Messages of a conversation and their parts."""

from dataclasses import replace

import pytest

from chatwright.conversation import (
    File,
    Image,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    next_call_id,
    tool_result_message,
)
from chatwright.errors import InputError


def test_a_message_made_from_a_string_has_one_text_part() -> None:
    assert Message("user", "Hello") == Message("user", [Text("Hello")])
    assert Message("user", "Hello").parts == (Text("Hello"),)
    assert Message("user", (Text("a"), Image(b"", "image/png"), Text("b"))).text == "ab"


def test_messages_and_parts_can_be_hashed_and_replaced() -> None:
    call = ToolCall("call_1", "f", {"b": [1], "a": None})
    message = Message("assistant", (call,))
    assert hash(message) == hash(
        Message("assistant", (ToolCall("call_1", "f", {"a": None, "b": [1]}),))
    )
    assert replace(call, id="call_2").arguments == call.arguments
    assert replace(message, parts="hi") == Message("assistant", "hi")


def test_tool_call_arguments_become_canonical_json_from_text_or_a_mapping() -> None:
    call = ToolCall("", "f", '{"b":  "é", "a": 1}')
    assert call == ToolCall("", "f", {"a": 1, "b": "é"})
    assert call.arguments == '{"a": 1, "b": "é"}'
    assert call.parsed_arguments == {"a": 1, "b": "é"}


@pytest.mark.parametrize("arguments", ["", "3", "[]", "{", '{"a": NaN}', "[" * 100_000])
def test_tool_call_arguments_that_are_not_a_json_object_are_refused(arguments: str) -> None:
    with pytest.raises(InputError) as caught:
        ToolCall("", "f", arguments)
    assert caught.value.field == "arguments"


def test_a_part_in_a_message_of_the_wrong_role_is_refused() -> None:
    call = ToolCall("", "f", {})
    for role, part in [
        ("user", call),
        ("tool", call),
        ("system", call),
        ("user", Thinking("hm")),
        ("tool", Thinking("hm")),
        ("assistant", ToolResult("", "5")),
        ("tool", Text("5")),
        ("tool", File("a", "text/plain", b"")),
    ]:
        with pytest.raises(InputError):
            Message(role, (part,))  # type: ignore[arg-type]


def test_a_tool_result_message_has_the_id_of_its_call() -> None:
    call = ToolCall("call_3", "f", {})
    assert tool_result_message(call, "5").tool_results == (ToolResult("call_3", "5"),)


def test_the_next_call_id_counts_the_tool_calls_of_the_conversation() -> None:
    called = Message("assistant", (ToolCall("call_1", "f", {}),))
    assert next_call_id([Message("user", "a")]) == "call_1"
    assert next_call_id([Message("user", "a"), called]) == "call_2"


def test_thinking_is_apart_from_the_text() -> None:
    message = Message("assistant", (Thinking("So."), Text("Hello.")))
    assert (message.thinking, message.text) == ("So.", "Hello.")
    assert Message("assistant", "Hello.").thinking == ""
