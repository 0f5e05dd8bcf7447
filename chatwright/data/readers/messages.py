"""Messages of conversations from the JSON values of data files.

A message is {"role": ..., "content": ...} or ShareGPT's {"from": ..., "value": ...}. A message with
weight 0, or with train or loss false, is context for the model but carries no loss. An answer may
hold what the model thought before it, in reasoning_content.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from chatwright.conversation import Message, ToolCall, assistant_message
from chatwright.data.readers.values import kind_of, parse_json, require_string
from chatwright.data.rows import DataError, Location
from chatwright.errors import InputError
from chatwright.tokenizer.tool_call_text import message_from_turn, write_tool_call

KIND_OF_ROLE: dict[str, str] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "command": "tool_call",
    "function_call": "tool_call",
    "result": "tool",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
}
"""The kind of turn (`chat_format.turn_kind`) that each role name of a data file stands for."""
KEYS = (("role", "content"), ("from", "value"))
"""The keys of role and content: OpenAI's and ShareGPT's."""
FLAGS = ("weight", "train", "loss")
"""Keys that say whether an answer is learned: OpenAI's, Axolotl's and ms-swift's."""
JSON_COLUMNS = ("messages", "conversations")
"""Columns whose text is always JSON, since CSV itself has no lists."""
MESSAGE_LIST = re.compile(r"""\s*\[\s*\{\s*["'](?:role|content|from|value)["']\s*:""")
"""The beginning of a list of messages, also of one that is not valid JSON."""


class ReadMessage(NamedTuple):
    """A message of a data file, and whether it carries loss in training."""

    message: Message
    is_learned: bool


def read_messages(value: Any, role: str, column: str, location: Location) -> list[ReadMessage]:
    """Return the messages in a value: a text of `role`, one message, a list, or JSON of these.

    Empty system messages are left out. Raises DataError.
    """
    value = parsed_messages(value, column, location)
    if isinstance(value, str):
        value = [{"role": role, "content": value}]
    elif isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list | tuple):
        raise DataError(
            location,
            f"{column} is {kind_of(value)}",
            "write a text or a list of messages with role and content",
            field=column,
        )
    if not value:
        raise DataError(
            location,
            f"{column} is an empty list",
            "add the messages or remove the row",
            field=column,
        )
    messages = [
        read_message(item, f"{column}[{index}]", location) for index, item in enumerate(value)
    ]
    return [m for m in messages if m.message.role != "system" or m.message.text.strip()]


def parsed_messages(value: Any, column: str, location: Location) -> Any:
    """Parse a text that is JSON of messages; return any other value unchanged.

    A text is parsed if it is in one of JSON_COLUMNS, or if it is one message or a list of messages
    as JSON. Other JSON stays text, since an answer may be JSON. Raises DataError for a broken list
    of messages, which would otherwise be learned as text.
    """
    if not isinstance(value, str):
        return value
    if column in JSON_COLUMNS:
        return parse_json(value, location)
    if not value.lstrip().startswith(("[", "{")):
        return value
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        if not MESSAGE_LIST.match(value):
            return value
        raise DataError(
            location,
            f"{column} looks like a list of messages and is not valid JSON",
            "write the list with json.dumps, in double quotes",
            field=column,
        ) from None
    items = parsed if isinstance(parsed, list) else [parsed]
    return parsed if items and all(map(_is_message, items)) else value


def _is_message(item: Any) -> bool:
    return isinstance(item, Mapping) and any(
        role_key in item and content_key in item and item[role_key] in KIND_OF_ROLE
        for role_key, content_key in KEYS
        if isinstance(item.get(role_key), str)
    )


def read_message(item: Any, name: str, location: Location) -> ReadMessage:
    """Return one message; `name` is its name in errors, for example "messages[2]"."""
    if not isinstance(item, Mapping):
        raise DataError(
            location,
            f"{name} is {kind_of(item)}",
            "write each message as an object with role and content",
            field=name,
        )
    role, content = _role_and_content(item, name, location)
    is_learned = _is_learned(item, name, location)
    if item.get("tool_calls"):
        return ReadMessage(_tool_call(item["tool_calls"], content, name, location), is_learned)
    content = require_string(joined_parts(content), f"{name}.content", location)
    # A tool may return nothing. An empty message of a user or a model is a mistake in the file.
    if not content.strip() and KIND_OF_ROLE[role] not in ("tool", "system"):
        raise DataError(
            location, f"{name} ({role}) is empty", "fill it or remove the row", field=name
        )
    call_id = item.get("tool_call_id")
    call_id = call_id if isinstance(call_id, str) else ""
    message = message_from_turn(KIND_OF_ROLE[role], content, call_id)
    thinking = _thinking(item, name, location)
    if thinking and message.role == "assistant" and not message.tool_calls:
        message = assistant_message(thinking, content)
    return ReadMessage(message, is_learned)


def _thinking(item: Mapping[str, Any], name: str, location: Location) -> str:
    """Return what the model thought before its answer, in the field of OpenAI-like servers."""
    thinking = item.get("reasoning_content")
    if thinking is None:
        return ""
    return require_string(thinking, f"{name}.reasoning_content", location)


def _role_and_content(item: Mapping[str, Any], name: str, location: Location) -> tuple[str, Any]:
    role_key, content_key = KEYS[1] if "from" in item else KEYS[0]
    optional = (content_key,) if item.get("tool_calls") else ()
    missing = [key for key in (role_key, content_key) if key not in item and key not in optional]
    if missing:
        raise DataError(
            location,
            f"{name} lacks {' and '.join(map(repr, missing))}",
            "a message needs role and content (or from and value)",
            field=name,
        )
    role = item[role_key]
    if not isinstance(role, str) or role not in KIND_OF_ROLE:
        shown = f"{role!a}"[:40] if isinstance(role, str) else kind_of(role)
        raise DataError(
            location,
            f"{name} has the unknown role {shown}",
            f"use one of: {', '.join(KIND_OF_ROLE)}",
            field=name,
        )
    return role, item.get(content_key)


def _is_learned(item: Mapping[str, Any], name: str, location: Location) -> bool:
    """Whether no flag of a message says that it carries no loss."""
    flags = {key: item[key] for key in FLAGS if item.get(key) is not None}
    for key, flag in flags.items():
        if not isinstance(flag, int) or flag not in (0, 1):
            raise DataError(
                location,
                f"{name}.{key} is {flag!a}"[:80],
                "write 1 or true to learn this answer, 0 or false to show it only",
                field=f"{name}.{key}",
            )
    return all(flags.values())


def row_is_learned(values: Mapping[str, Any]) -> bool:
    """Whether no column of a row says that the row is not to be learned.

    Only true and false count (also as CSV text), since a column `loss` may hold measured losses.
    """
    flags = (values.get(key) for key in FLAGS)
    return not any(
        flag is False or (isinstance(flag, str) and flag.strip().lower() == "false")
        for flag in flags
    )


def _tool_call(calls: Any, content: Any, name: str, location: Location) -> Message:
    """Return the assistant message of one tool call in OpenAI's form."""
    name = f"{name}.tool_calls"
    if not isinstance(calls, list) or len(calls) != 1 or content:
        raise DataError(
            location,
            f"{name} does not hold exactly one call, or the message has content too",
            "write each tool call in an assistant message of its own, with content null",
            field=name,
        )
    try:
        function = calls[0]["function"]
        call = ToolCall(str(calls[0].get("id", "")), function["name"], function["arguments"])
        text = require_string(write_tool_call(call), name, location)
    except (KeyError, TypeError, AttributeError):
        raise DataError(
            location,
            f"{name} is not a list of function calls",
            'write [{"id": "...", "type": "function", '
            '"function": {"name": "...", "arguments": "{...}"}}]',
            field=name,
        ) from None
    except InputError as error:
        cause = f"{name}: {error.problem.rstrip('.')}"
        raise DataError(location, cause, error.remedy.rstrip("."), field=name) from None
    return message_from_turn("tool_call", text, call.id)


def joined_parts(content: Any) -> Any:
    """Return OpenAI's [{"type": "text", "text": "..."}] as one text, anything else unchanged."""
    if not isinstance(content, list) or not content:
        return content
    texts: list[str] = []
    for part in content:
        text = (
            part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else None
        )
        if not isinstance(text, str):
            return content
        texts.append(text)
    return "".join(texts)
