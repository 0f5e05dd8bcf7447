"""Tool calls as text: the `COMMAND=NAME argument` that Chatwright's models write and read.

    COMMAND=FETCH_PRICE bread   <->   ToolCall(name="FETCH_PRICE", arguments={"text": "bread"})
    any other text              <->   ToolCall(name="command", arguments={"text": that text})

Reading a text and writing the call gives the same text again. Control tokens mark where a call
begins and ends (`chat_format.py`), so text that looks like a call stays text.
"""

from __future__ import annotations

import re

from chatwright.conversation import Message, Text, ToolCall, ToolResult
from chatwright.errors import InputError

FREE_TEXT_FUNCTION = "command"
"""Function name of tool calls that do not have the form `COMMAND=NAME argument`."""
_NAMED_CALL = re.compile(r"COMMAND=([A-Za-z_][A-Za-z0-9_]*) (.*)", re.DOTALL)
_FUNCTION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_tool_call(text: str, call_id: str = "") -> ToolCall:
    """Return the tool call that is written as `text`; every text is a valid call."""
    named = _NAMED_CALL.fullmatch(text)
    if named is None or named[1] == FREE_TEXT_FUNCTION:
        return ToolCall(call_id, FREE_TEXT_FUNCTION, {"text": text})
    return ToolCall(call_id, named[1], {"text": named[2]})


def write_tool_call(call: ToolCall) -> str:
    """Return the text of a tool call.

    Raises InputError unless the arguments are one string and the name is a word.
    """
    texts = list(call.parsed_arguments.values())
    if len(texts) != 1 or not isinstance(texts[0], str):
        raise InputError(
            f"The tool call {call.name!a} has other arguments than one string.",
            remedy='Write the arguments as {"text": "..."}: this model calls tools with one text.',
            field="arguments",
        )
    if call.name == FREE_TEXT_FUNCTION:
        return texts[0]
    require_function_name(call.name)
    return f"COMMAND={call.name} {texts[0]}"


def require_function_name(name: str) -> None:
    """Raise InputError for a name that the form COMMAND=NAME cannot hold."""
    if not _FUNCTION_NAME.fullmatch(name) or name == FREE_TEXT_FUNCTION:
        raise InputError(
            f"The tool name {name!a} holds characters that this model cannot write.",
            remedy="Use letters, digits and underscores, and begin with a letter.",
            field="name",
            value=name,
        )


def message_text(message: Message) -> str:
    """Return the text of a message as Chatwright's own models read it.

    Tool calls are written as `COMMAND=...`, tool results as their content. Images and files have
    no text.
    """
    return "".join(_part_text(part) for part in message.parts)


def tool_call_message(text: str, call_id: str = "") -> Message:
    """Return the assistant message with the tool call that is written as `text`."""
    return Message("assistant", (read_tool_call(text, call_id),))


def message_from_turn(role: str, text: str, call_id: str = "") -> Message:
    """Return the message of a turn of plain text; `role` is its role or turn kind.

    The roles `command` and `result` of earlier files become a tool call and a tool result. An
    unknown role is kept, for `chat_template.require_order` to refuse.
    """
    if role in ("tool_call", "command"):
        return tool_call_message(text, call_id)
    if role in ("result", "tool"):
        return Message("tool", (ToolResult(call_id, text),))
    return Message(role, text)  # type: ignore[arg-type]


def _part_text(part: object) -> str:
    match part:
        case Text():
            return part.text
        case ToolCall():
            return write_tool_call(part)
        case ToolResult():
            return part.content
        case _:
            return ""
