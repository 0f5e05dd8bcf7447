"""Tool calls as text: reading and writing are inverse for every text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatwright.conversation import Message, ToolCall, ToolResult
from chatwright.errors import InputError
from chatwright.tokenizer.tool_call_text import (
    message_from_turn,
    message_text,
    read_tool_call,
    tool_call_message,
    write_tool_call,
)

HARD_TEXTS = [
    "",
    "COMMAND=",
    "COMMAND=FETCH_PRICE",
    "COMMAND=FETCH_PRICE ",
    "COMMAND=FETCH_PRICE  two  spaces ",
    "COMMAND=FETCH PRICE\nof bread",
    "COMMAND=command COMMAND=command x",
    "COMMAND=7 x",
    "COMMAND=é x",
    " COMMAND=F x",
    "COMMAND=F x\n",
    "command=F x",
    '{"text": "x"}',
    "<|command|>F<EOC>",
    "\ud800",
]
near_calls = st.from_regex(r"COMMAND=[A-Za-z_0-9]* ?.*", fullmatch=True)


@pytest.mark.parametrize("text", HARD_TEXTS)
def test_writing_a_call_that_was_read_gives_the_same_text(text):
    assert write_tool_call(read_tool_call(text)) == text


@given(st.one_of(st.text(), near_calls))
def test_writing_a_call_that_was_read_gives_the_same_text_for_any_text(text):
    assert write_tool_call(read_tool_call(text)) == text


@given(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True), st.text())
def test_reading_a_named_call_that_was_written_gives_the_same_call(name, text):
    call = ToolCall("call_7", name, {"text": text})
    if name != "command":
        assert read_tool_call(write_tool_call(call), "call_7") == call


def test_a_text_with_the_prefix_of_a_command_is_a_named_call():
    assert read_tool_call("COMMAND=FETCH_PRICE rye bread") == ToolCall(
        "", "FETCH_PRICE", {"text": "rye bread"}
    )
    assert read_tool_call("12 + 30") == ToolCall("", "command", {"text": "12 + 30"})


@pytest.mark.parametrize("arguments", [{}, {"text": 3}, {"text": "a", "more": 1}, {"city": []}])
def test_a_call_with_other_arguments_than_one_text_cannot_be_written(arguments):
    with pytest.raises(InputError) as caught:
        write_tool_call(ToolCall("", "f", arguments))
    assert caught.value.field == "arguments"


def test_one_text_is_written_whatever_its_name():
    assert write_tool_call(ToolCall("", "f", {"city": "Rome"})) == "COMMAND=f Rome"


@pytest.mark.parametrize("name", ["", "get weather", "7up", "é"])
def test_a_call_whose_name_is_not_a_word_cannot_be_written(name):
    with pytest.raises(InputError) as caught:
        write_tool_call(ToolCall("", name, {"text": "a"}))
    assert (caught.value.field, caught.value.value) == ("name", name)


def test_the_roles_of_earlier_files_become_a_tool_call_and_a_tool_result():
    assert message_from_turn("command", "COMMAND=F x") == tool_call_message("COMMAND=F x")
    assert message_from_turn("result", "5") == Message("tool", (ToolResult("", "5"),))
    assert message_from_turn("user", "hi") == Message("user", "hi")


def test_the_text_of_a_message_is_what_the_model_reads():
    assert message_text(tool_call_message("COMMAND=F x")) == "COMMAND=F x"
    assert message_text(Message("tool", (ToolResult("", "5"),))) == "5"
    assert message_text(Message("user", "hi")) == "hi"
