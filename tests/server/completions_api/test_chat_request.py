"""What clients send: null as "not given", harmless fields, and errors that name the real field."""

import json

import pytest

from chatwright.conversation import Message, Text, Thinking
from chatwright.server.completions_api.chat_request import ChatRequest
from chatwright.server.errors import ApiError
from chatwright.server.request_body.request_parser import parse_request

USER = {"role": "user", "content": "hi"}
ANSWER = {"role": "assistant", "content": "yes"}


def parse(*messages: object, **fields: object) -> ChatRequest:
    body = {"model": "m", "messages": messages or [USER], **fields}
    return parse_request(json.dumps(body).encode(), ChatRequest)


def conversation(*messages: object) -> list[Message]:
    return parse(*messages).conversation


def test_null_in_any_field_is_as_if_the_field_were_left_out() -> None:
    plain = parse(USER, ANSWER, USER)
    names = [name for name in ChatRequest.model_fields if name not in ("model", "messages")]
    message = ("name", "tool_calls", "tool_call_id", "reasoning_content", "refusal", "audio")
    nulls = dict.fromkeys((*message, "function_call", "annotations"))
    everywhere = parse(
        {**USER, **nulls}, {**ANSWER, **nulls}, {**USER, **nulls}, **dict.fromkeys(names)
    )
    assert everywhere == plain
    assert everywhere.model_fields_set == plain.model_fields_set
    assert parse(stream=True, stream_options={"include_usage": None}).with_usage is False


@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": {"type": "text"}},
        {"parallel_tool_calls": True},
        {"parallel_tool_calls": False},
        {"parallel_tool_calls": None},
        {"tools": []},
        {"tool_choice": "none"},
        {"logprobs": False, "top_logprobs": None},
        {"stop": []},
        {"logit_bias": {}},
        {"metadata": {}},
        {"max_completion_tokens": 8},
    ],
)
def test_requests_of_common_clients_are_accepted(fields: dict[str, object]) -> None:
    assert parse(**fields).conversation == [Message("user", "hi")]


@pytest.mark.parametrize(
    "extra",
    [
        {"tool_calls": []},
        {"reasoning_content": ""},
        {"reasoning_content": None},
        {"name": "a friend"},
        {"refusal": None, "annotations": [], "audio": None, "function_call": None},
    ],
)
def test_messages_that_clients_send_back_are_accepted(extra: dict[str, object]) -> None:
    messages = conversation(USER, {**ANSWER, **extra}, {**USER, "name": "me"})
    assert messages == [Message("user", "hi"), Message("assistant", "yes"), Message("user", "hi")]


def test_messages_of_one_role_in_a_row_are_joined_with_their_thinking() -> None:
    thought = {**ANSWER, "reasoning_content": "hm"}
    joined = conversation(USER, thought, ANSWER, {"role": "system", "content": "s"}, USER, USER)
    assert joined == [
        Message("system", "s"),
        Message("user", "hi"),
        Message("assistant", (Thinking("hm"), Text("yes\n\nyes"))),
        Message("user", "hi\n\nhi"),
    ]


CALL = {"name": "command", "arguments": '{"text": "a"}'}
IMAGE = {"type": "image_url", "image_url": {"url": "data:"}}


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "user", "content": 5}, "messages[1].content"),
        ({"role": "user", "content": [IMAGE]}, "messages[1].content[0].type"),
        (
            {"role": "user", "content": [{"type": "text", "text": "a"}, IMAGE]},
            "messages[1].content[1].type",
        ),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[1].content[0]"),
        ({"role": "user", "content": ["a"]}, "messages[1].content[0]"),
        ({"role": "user", "content": []}, "messages[1].content"),
        ({"role": "user", "content": "a", "x": 1}, "messages[1].x"),
        ({"role": "user"}, "messages[1]"),
        ({"content": "a"}, "messages[1].role"),
        ({"role": "chef", "content": "a"}, "messages[1].role"),
        (
            {"role": "assistant", "tool_calls": [{"id": 1, "function": CALL}]},
            "messages[1].tool_calls[0].id",
        ),
    ],
)
def test_an_error_names_the_field_as_the_client_sent_it(message: object, param: str) -> None:
    with pytest.raises(ApiError) as error:
        parse(USER, message)
    assert (error.value.status, error.value.param) == (400, param)
    assert error.value.message.startswith(param)
    assert "constrained" not in error.value.message, "a pydantic type is no field"


def test_an_image_is_refused_as_an_image() -> None:
    with pytest.raises(ApiError) as error:
        parse({"role": "user", "content": [IMAGE]})
    assert "images" in error.value.message


def test_an_error_in_a_field_of_several_types_is_that_of_the_type_that_fits_best() -> None:
    with pytest.raises(ApiError) as error:
        parse(stop=["a", "b", ""])
    assert error.value.param == "stop[2]"
