"""Every known shape of record becomes the right row; errors name the wrong column."""

import json
from typing import Any

import pytest

from chatwright.conversation import Message, ToolCall
from chatwright.data.readers.record import Record
from chatwright.data.readers.row_shapes import to_row
from chatwright.data.rows import (
    ChatRow,
    DataError,
    Location,
    MissingColumns,
    PreferenceRow,
    Row,
    SentencePair,
    TextRow,
    ThumbRow,
)
from chatwright.tokenizer.tool_call_text import message_from_turn

LOCATION = Location("a.jsonl", 7)


def row_of(values: Any) -> Row:
    return to_row(Record(values, LOCATION))


def chat(*turns: tuple[Any, Any]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


def with_flags(**flags: object) -> dict[str, Any]:
    """Return a record of two exchanges whose first answer has the flags."""
    record = chat(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"))
    record["messages"][1] |= flags
    return record


def tool_call_record(calls: Any) -> dict[str, Any]:
    record = chat(("user", "a"))
    record["messages"].append({"role": "assistant", "content": None, "tool_calls": calls})
    return record


CHAT = chat(("user", "What is it?"), ("assistant", "A cat."))
QUESTION_ANSWER = (Message("user", "What is it?"), Message("assistant", "A cat."))
AB = (Message("user", "a"), Message("assistant", "b"))
PARTS = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]

# Name -> (record, column that the error names). "" means that the error names the file.
BROKEN_RECORDS = {
    "no answer": (chat(("user", "a")), ""),
    "thinking not text": (
        {
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": "b", "reasoning_content": 3},
            ]
        },
        "messages[1].reasoning_content",
    ),
    "unknown role": (chat(("robot", "a")), "messages[0]"),
    "role not text": (chat((3, "a")), "messages[0]"),
    "empty content": (chat(("user", "a"), ("assistant", " ")), "messages[1]"),
    "content null": (chat(("user", None)), "messages[0].content"),
    "content list": (chat(("user", [{"type": "image"}])), "messages[0].content"),
    "no content": ({"messages": [{"role": "user"}]}, "messages[0]"),
    "no role": ({"messages": [{"content": "a"}]}, "messages[0]"),
    "message not object": ({"messages": [["hello"]]}, "messages[0]"),
    "messages not list": ({"messages": 3}, "messages"),
    "messages not JSON": ({"messages": "hello"}, ""),
    "no messages": ({"messages": []}, "messages"),
    "broken list as text": ({"prompt": '[{"role": "user", ', "completion": "b"}, "prompt"),
    "Python list as text": (
        {"prompt": "a", "completion": "[{'role': 'assistant', 'content': 'b'}]"},
        "completion",
    ),
    "tool calls": (tool_call_record([{}]), "messages[1].tool_calls"),
    "two tool calls": (tool_call_record([{}, {}]), "messages[1].tool_calls"),
    "weight": (with_flags(weight=0.5), "messages[1].weight"),
    "train": (with_flags(train="no"), "messages[1].train"),
    "loss": (with_flags(loss=2.31), "messages[1].loss"),
    "text not text": ({"text": ["a"]}, "text"),
    "text empty": ({"text": ""}, "text"),
    "text not learned": ({"text": "a", "train": False}, "train"),
    "half a surrogate": ({"text": "a\ud800"}, "text"),
    "no columns": ({}, "columns"),
    "not an object": (17, ""),
    "rated question": (
        {**chat(("user", "a"), ("assistant", "b"), ("user", "c")), "label": True},
        "label",
    ),
    "rated but not learned": (
        {"prompt": "a", "completion": "b", "label": True, "train": False},
        "label",
    ),
    "same twice": ({"prompt": "a", "chosen": "b", "rejected": "b"}, "chosen"),
    "no prompt": ({"chosen": "a", "rejected": "b"}, "prompt"),
    "chosen by a user": (
        {"prompt": "a", "chosen": [{"role": "user", "content": "b"}], "rejected": "c"},
        "chosen",
    ),
    "chosen not learned": (
        {
            "prompt": "a",
            "chosen": [{"role": "assistant", "content": "b", "train": False}],
            "rejected": "c",
        },
        "chosen",
    ),
    "preference not learned": (
        {"prompt": "a", "chosen": "b", "rejected": "c", "train": False},
        "train",
    ),
    "no history": ({"instruction": "a", "output": "b", "history": 5}, "history"),
    "bad history": ({"instruction": "a", "output": "b", "history": [["x"]]}, "history"),
    "empty source": ({"source": " ", "target": "b"}, "source"),
}


@pytest.mark.parametrize(("record", "field"), BROKEN_RECORDS.values(), ids=BROKEN_RECORDS.keys())
def test_a_broken_record_is_an_error_with_location_and_column(record: Any, field: str) -> None:
    with pytest.raises(DataError) as caught:
        row_of(record)
    assert caught.value.location == LOCATION
    assert caught.value.field == (field or LOCATION.file)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "record",
    [
        chat(("user", "a"), ("user", "b"), ("assistant", "c")),
        chat(("assistant", "a"), ("user", "b")),
    ],
)
def test_turns_out_of_order_are_an_error(record: Any) -> None:
    with pytest.raises(DataError) as caught:
        row_of(record)
    assert "turn" in caught.value.cause


def test_error_names_the_missing_key_of_a_message() -> None:
    for message, missing in (({"role": "user"}, "content"), ({"value": "a"}, "role")):
        with pytest.raises(DataError) as caught:
            row_of({"messages": [message]})
        assert caught.value.cause.startswith(f"messages[0] lacks {missing!r}")


def test_errors_never_contain_the_text_of_the_row() -> None:
    secret = "the patient said"
    records = [
        chat(("user", secret), ("user", secret)),
        chat(("user", secret)),
        {"text": [secret]},
        {"prompt": secret, "chosen": secret, "rejected": secret},
        {"prompt": f'[{{"role": "{secret}', "completion": secret},
        [secret],
        secret,
    ]
    for record in records:
        with pytest.raises(DataError) as caught:
            row_of(record)
        assert secret not in str(caught.value)


def test_error_for_missing_columns_lists_the_columns_of_the_record() -> None:
    with pytest.raises(MissingColumns) as caught:
        row_of({"customer": "a", "agent": None})
    assert caught.value.columns == ["'customer'", "'agent (null)'"]


def test_error_for_two_unknown_columns_names_the_option_that_reads_them() -> None:
    with pytest.raises(MissingColumns) as caught:
        row_of({"Frage": "a", "Antwort": "b"})
    assert "--columns Frage=prompt,Antwort=completion" in caught.value.advice


CONVERSATIONS = {
    "messages": (CHAT, QUESTION_ANSWER),
    "bare list": (CHAT["messages"], QUESTION_ANSWER),
    "text and messages": ({"text": "rendered", **CHAT}, QUESTION_ANSWER),
    "messages as JSON text": ({"messages": json.dumps(CHAT["messages"])}, QUESTION_ANSWER),
    "parts": (
        chat(("user", PARTS), ("assistant", "c")),
        (Message("user", "ab"), Message("assistant", "c")),
    ),
    "prompt+completion": ({"prompt": "a", "completion": "b"}, AB),
    "conversational prompt": (
        {
            "prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "a"}],
            "completion": [{"role": "assistant", "content": "b"}],
        },
        (Message("system", "s"), *AB),
    ),
    "conversational prompt as JSON text": (
        {
            "prompt": '[{"role": "user", "content": "a"}]',
            "completion": ' [ {"from": "gpt", "value": "b"} ]',
        },
        AB,
    ),
    "one message as JSON text": (
        {"prompt": "a", "completion": '{"role": "assistant", "content": "b"}'},
        AB,
    ),
    "alpaca": ({"instruction": "a", "input": "", "output": "b"}, AB),
    "alpaca input": (
        {"instruction": "a", "input": "x", "output": "b", "text": "all"},
        (Message("user", "a\n\nx"), Message("assistant", "b")),
    ),
    "alpaca history": (
        {"instruction": "c", "output": "d", "history": [["a", "b"]], "system": "s"},
        (Message("system", "s"), *AB, Message("user", "c"), Message("assistant", "d")),
    ),
    "dolly": (
        {"instruction": "a", "context": "x", "response": "b"},
        (Message("user", "a\n\nx"), Message("assistant", "b")),
    ),
    "sharegpt": (
        {
            "conversations": [
                {"from": "human", "value": "a"},
                {"from": "function_call", "value": "b"},
                {"from": "observation", "value": ""},
                {"from": "gpt", "value": "c"},
            ],
            "system": "",
        },
        (
            Message("user", "a"),
            message_from_turn("tool_call", "b"),
            message_from_turn("tool", ""),
            Message("assistant", "c"),
        ),
    ),
    "OpenAI tool call": (
        tool_call_record([{"id": "1", "function": {"name": "F", "arguments": '{"text": "b"}'}}]),
        (Message("user", "a"), Message("assistant", [ToolCall("1", "F", {"text": "b"})])),
    ),
    "ends with a question": (
        chat(("user", "a"), ("assistant", "b"), ("user", "c")),
        (*AB, Message("user", "c")),
    ),
}


@pytest.mark.parametrize(("record", "expected"), CONVERSATIONS.values(), ids=CONVERSATIONS.keys())
def test_known_conversation_shapes_become_chat_rows(
    record: Any, expected: tuple[Message, ...]
) -> None:
    assert row_of(record) == ChatRow(expected, LOCATION)


@pytest.mark.parametrize(
    "answer",
    [
        '[{"role": "admin", "name": "Ann"}]',
        '[{"name": "Ann"}, {"name": "Bob"}]',
        '{"content": "b"}',
        "[1] and {2}",
        "[{unfinished",
        '["role"]',
        "[]",
    ],
)
def test_answer_that_is_json_but_not_messages_stays_text(answer: str) -> None:
    row = row_of({"prompt": "a", "completion": answer})
    assert isinstance(row, ChatRow)
    assert row.messages[1] == Message("assistant", answer)


def test_columns_decide_between_text_and_sentence_pair() -> None:
    assert row_of({"text": "a"}) == TextRow("a", LOCATION)
    assert row_of({"text": "a", "label": 3}) == TextRow("a", LOCATION, "3")
    assert row_of({"text": "a", "label": 0.5}) == TextRow("a", LOCATION)
    assert row_of({"text": "a", "source": "web"}) == TextRow("a", LOCATION)
    assert row_of({"source": " a", "target": "b"}) == SentencePair("a", "b", LOCATION)
    numbered = Record({"1": "a", "2": "b"}, LOCATION, has_header=False)
    assert to_row(numbered) == SentencePair("a", "b", LOCATION)


PROMPT = Message("user", "a")
CHOSEN = Message("assistant", "b")
REJECTED = Message("assistant", "c")
TURNS = [
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "b"},
    {"role": "assistant", "content": "c"},
]
PREFERENCES = {
    "plain": {"prompt": "a", "chosen": "b", "rejected": "c"},
    "conversational": {"prompt": TURNS[:1], "chosen": TURNS[1:2], "rejected": TURNS[2:]},
    "JSON text": {
        "prompt": json.dumps(TURNS[:1]),
        "chosen": json.dumps(TURNS[1:2]),
        "rejected": json.dumps(TURNS[2:]),
    },
    "implicit prompt": {"chosen": TURNS[:2], "rejected": [TURNS[0], TURNS[2]]},
    "messages": {"messages": TURNS[:1], "chosen": "b", "rejected": "c"},
    "instruction": {"instruction": "a", "input": "", "output": "b", "chosen": "b", "rejected": "c"},
    "sharegpt": {
        "conversations": [{"from": "human", "value": "a"}],
        "chosen": {"from": "gpt", "value": "b"},
        "rejected": {"from": "gpt", "value": "c"},
    },
}


@pytest.mark.parametrize("record", PREFERENCES.values(), ids=PREFERENCES.keys())
def test_known_preference_shapes_become_preference_rows(record: Any) -> None:
    assert row_of(record) == PreferenceRow((PROMPT,), (CHOSEN,), (REJECTED,), LOCATION)


@pytest.mark.parametrize("label", [True, "true", " True"])
@pytest.mark.parametrize("is_good", [True, False])
@pytest.mark.parametrize(
    "record", [{"prompt": "a", "completion": "b"}, chat(("user", "a"), ("assistant", "b"))]
)
def test_replies_labeled_true_or_false_become_thumbs(
    record: dict[str, Any], label: object, is_good: bool
) -> None:
    """TRL's unpaired preferences, also from CSV, where true is a text."""
    if not is_good:
        label = False if label is True else "false"
    row = row_of({**record, "label": label})
    assert row == ThumbRow((PROMPT,), (CHOSEN,), is_good, LOCATION)


@pytest.mark.parametrize(
    "flags", [{"weight": 0}, {"weight": False}, {"train": False}, {"loss": False}, {"train": 0}]
)
def test_answer_with_a_false_flag_is_not_learned(flags: dict[str, object]) -> None:
    row = row_of(with_flags(**flags))
    assert isinstance(row, ChatRow)
    assert row.learned == (True, False, True, True)


@pytest.mark.parametrize("flags", [{"weight": 1}, {"train": True}, {"loss": None}, {}])
def test_answer_without_a_false_flag_is_learned(flags: dict[str, object]) -> None:
    row = row_of(with_flags(**flags))
    assert isinstance(row, ChatRow)
    assert row.learned == ()


@pytest.mark.parametrize("value", [False, "false", " False"])
@pytest.mark.parametrize("key", ["train", "loss"])
def test_no_answer_of_a_row_with_a_false_flag_is_learned(key: str, value: object) -> None:
    row = row_of({**CHAT, key: value})
    assert isinstance(row, ChatRow)
    assert row.learned == (False, False)


@pytest.mark.parametrize("value", [True, "true", None, "", 2.5, 0.0])
def test_loss_column_that_is_not_false_leaves_all_answers_learned(value: object) -> None:
    row = row_of({**CHAT, "loss": value})
    assert isinstance(row, ChatRow)
    assert row.learned == ()
