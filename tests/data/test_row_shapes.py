"""Every known shape of row by hand, and every wrong one with its sentence."""

import pytest

from chatwright.conversation import Message
from chatwright.data.row_shapes import to_row
from chatwright.data.rows import DataError, Location, PreferenceRow, TextRow
from chatwright.tokenizer.tool_call_text import message_from_turn


def chat(*turns):
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


CHAT = chat(("user", "What is it?"), ("assistant", "A cat."))
QUESTION_ANSWER = (Message("user", "What is it?"), Message("assistant", "A cat."))

BROKEN_RECORDS = {
    "no answer": (
        chat(("user", "a")),
        "a conversation of 1 turn(s) without an answer. Add an assistant turn or remove the row",
    ),
    "unknown role": (
        chat(("robot", "a")),
        "messages[0] has the unknown role 'robot'. Use one of: system, developer, user",
    ),
    "role not text": (
        {"messages": [{"role": 3, "content": "a"}]},
        "messages[0] has the unknown role a number",
    ),
    "empty content": (chat(("user", "a"), ("assistant", " ")), "messages[1] (assistant) is empty"),
    "content null": (
        {"messages": [{"role": "user", "content": None}]},
        "messages[0].content is null, not a text",
    ),
    "content list": (
        {"messages": [{"role": "user", "content": [{"type": "image"}]}]},
        "messages[0].content is a list, not a text",
    ),
    "no content": (
        {"messages": [{"role": "user"}]},
        "messages[0] has 'role'. A message needs role and content",
    ),
    "message not object": ({"messages": ["hello"]}, "messages[0] is a text"),
    "messages not list": ({"messages": 3}, "messages is a number"),
    "no messages": ({"messages": []}, "messages is an empty list"),
    "wrong order": (
        chat(("user", "a"), ("user", "b"), ("assistant", "c")),
        "turn 1 (user) follows turn 0 (user)",
    ),
    "assistant first": (chat(("assistant", "a"), ("user", "b")), "turn 0 (assistant) is the first"),
    "tool calls": (
        {
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": "", "tool_calls": [{}]},
            ]
        },
        "messages[1].tool_calls is no list of function calls",
    ),
    "weight": (
        {
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": "b", "weight": 0.5},
            ]
        },
        "messages[1].weight is 0.5",
    ),
    "text not text": ({"text": ["a"]}, "text is a list, not a text"),
    "text empty": ({"text": ""}, "text is empty"),
    "half a surrogate": ({"text": "a\ud800"}, "text holds half a surrogate pair"),
    "no columns": ({}, "no known shape fits the columns found (none)"),
    "not an object": (17, "the row is a number, not an object"),
    "rated answer": (
        {"prompt": "a", "completion": "b", "label": False},
        "the row is a rated answer (a true/false label)",
    ),
    "rated conversation": (
        {**chat(("user", "a"), ("assistant", "b")), "label": True},
        "the row is a rated answer",
    ),
    "same twice": (
        {"prompt": "a", "chosen": "b", "rejected": "b"},
        "chosen and rejected are the same",
    ),
    "no prompt": ({"chosen": "a", "rejected": "b"}, "there is no prompt"),
    "prompt without answer": ({"prompt": "a"}, "no known shape fits the columns found ('prompt')"),
    "chosen by a user": (
        {"prompt": "a", "chosen": [{"role": "user", "content": "b"}], "rejected": "c"},
        "chosen does not begin with an assistant turn",
    ),
    "no history": (
        {"instruction": "a", "output": "b", "history": 5},
        "history is not a list of question and answer pairs",
    ),
    "bad history": (
        {"instruction": "a", "output": "b", "history": [["x"]]},
        "history is not a list of question and answer pairs",
    ),
}


HERE = Location("a.jsonl", 7)


@pytest.mark.parametrize(("record", "message"), BROKEN_RECORDS.values(), ids=BROKEN_RECORDS.keys())
def test_a_broken_row_is_named_with_cause_and_remedy(record, message):
    with pytest.raises(DataError) as error:
        to_row(record, HERE)
    assert str(error.value).startswith("a.jsonl, line 7: ")
    assert message in str(error.value)
    assert error.value.remedy


def test_errors_never_hold_the_text():
    secret = "the patient said"
    records = [
        chat(("user", secret), ("user", secret)),
        chat(("user", secret)),
        {"text": [secret]},
        {"prompt": secret, "chosen": secret, "rejected": secret},
        [secret],
        secret,
    ]
    for record in records:
        with pytest.raises(DataError) as error:
            to_row(record, HERE)
        assert secret not in str(error.value)


SHAPES = {
    "text": ({"text": "a"}, "a"),
    "messages": (CHAT, QUESTION_ANSWER),
    "bare list": (CHAT["messages"], QUESTION_ANSWER),
    "text and messages": ({"text": "rendered", **CHAT}, QUESTION_ANSWER),
    "parts": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
                },
                {"role": "assistant", "content": "c"},
            ]
        },
        (Message("user", "ab"), Message("assistant", "c")),
    ),
    "prompt+completion": (
        {"prompt": "a", "completion": "b"},
        (Message("user", "a"), Message("assistant", "b")),
    ),
    "conversational prompt": (
        {
            "prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "a"}],
            "completion": [{"role": "assistant", "content": "b"}],
        },
        (Message("system", "s"), Message("user", "a"), Message("assistant", "b")),
    ),
    "alpaca": (
        {"instruction": "a", "input": "", "output": "b"},
        (Message("user", "a"), Message("assistant", "b")),
    ),
    "alpaca input": (
        {"instruction": "a", "input": "x", "output": "b", "text": "all"},
        (Message("user", "a\n\nx"), Message("assistant", "b")),
    ),
    "alpaca history": (
        {"instruction": "c", "output": "d", "history": [["a", "b"]], "system": "s"},
        (
            Message("system", "s"),
            Message("user", "a"),
            Message("assistant", "b"),
            Message("user", "c"),
            Message("assistant", "d"),
        ),
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
            message_from_turn("command", "b"),
            message_from_turn("result", ""),
            Message("assistant", "c"),
        ),
    ),
    "ends with a question": (
        chat(("user", "a"), ("assistant", "b"), ("user", "c")),
        (Message("user", "a"), Message("assistant", "b"), Message("user", "c")),
    ),
}


@pytest.mark.parametrize(("record", "expected"), SHAPES.values(), ids=SHAPES.keys())
def test_known_shapes(record, expected):
    row = to_row(record, HERE)
    assert (row.text if isinstance(row, TextRow) else row.messages) == expected
    assert row.location == HERE


A, B, C = Message("user", "a"), Message("assistant", "b"), Message("assistant", "c")
SAID = [
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "b"},
    {"role": "assistant", "content": "c"},
]
PREFERENCES = {
    "plain": {"prompt": "a", "chosen": "b", "rejected": "c"},
    "conversational": {"prompt": SAID[:1], "chosen": SAID[1:2], "rejected": SAID[2:]},
    "implicit prompt": {"chosen": SAID[:2], "rejected": [SAID[0], SAID[2]]},
    "messages": {"messages": SAID[:1], "chosen": "b", "rejected": "c"},
    "instruction": {"instruction": "a", "input": "", "output": "b", "chosen": "b", "rejected": "c"},
    "sharegpt": {
        "conversations": [{"from": "human", "value": "a"}],
        "chosen": {"from": "gpt", "value": "b"},
        "rejected": {"from": "gpt", "value": "c"},
    },
}


@pytest.mark.parametrize("record", PREFERENCES.values(), ids=PREFERENCES.keys())
def test_preference_shapes(record):
    assert to_row(record, HERE) == PreferenceRow((A,), (B,), (C,), HERE)


def test_weight_0_marks_an_answer_that_is_shown_and_not_learned():
    record = chat(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"))
    record["messages"][1]["weight"], record["messages"][3]["weight"] = 0, 1
    row = to_row(record, Location("x.jsonl", 1))
    assert row.learned == (True, False, True, True)
