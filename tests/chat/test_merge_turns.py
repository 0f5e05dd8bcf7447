"""Joined turns: one system text, alternating questions and answers, and no text lost."""

import random

from chatwright.chat.merge_turns import merge_turns
from chatwright.conversation import Message, ToolCall, ToolResult
from chatwright.tokenizer.chat_template import require_order

CALL = Message("assistant", (ToolCall("call_1", "look_up", {"text": "x"}),))
RESULT = Message("tool", (ToolResult("call_1", "y"),))


def test_a_conversation_in_order_is_unchanged() -> None:
    ordered = [
        Message("system", "s"),
        Message("user", "a"),
        CALL,
        RESULT,
        Message("assistant", "b"),
        Message("user", "c"),
    ]
    assert merge_turns(ordered) == ordered


def test_any_order_of_texts_after_a_question_becomes_an_order_that_models_read() -> None:
    draw = random.Random(3)
    for _ in range(200):
        roles = ["user", *draw.choices(["system", "user", "assistant"], k=draw.randrange(8))]
        given = [Message(role, f"{i}") for i, role in enumerate(roles)]  # type: ignore[arg-type]
        merged = merge_turns(given)
        require_order(merged)
        for role in ("system", "user", "assistant"):
            texts = [message.text for message in given if message.role == role]
            found = [message.text for message in merged if message.role == role]
            assert "\n\n".join(found) == "\n\n".join(texts)


def test_nothing_joins_a_tool_call() -> None:
    turns = [Message("user", "a"), CALL, Message("assistant", "b")]
    assert merge_turns(turns) == turns
