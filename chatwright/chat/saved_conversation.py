"""Save a conversation as one JSON object, which is also a row of training data, and load it.

Messages are written in the shape of the OpenAI API. Loading also reads the roles `command` and
`result` of earlier versions. Every InputError names the file, the cause and the remedy.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from chatwright.conversation import (
    Message,
    Role,
    ToolCall,
    ToolResult,
    assistant_message,
    next_call_id,
)
from chatwright.errors import InputError
from chatwright.tokenizer.chat_template import require_order, require_text_only
from chatwright.tokenizer.tool_call_text import message_from_turn, message_text
from chatwright.tokenizer.validation import require_unicode

EXPECTED = 'Give a file that /save wrote: {"messages": [{"role": "user", "content": "..."}, ...]}.'
"""Remedy in errors about the content of a file; /save is the terminal command."""


def save(path: Path, messages: Sequence[Message]) -> None:
    """Write the conversation to a new file. Existing files are never overwritten.

    Raises InputError if the file exists or cannot be written.
    """
    row = {"messages": to_json(messages)}
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        raise _cannot_save(path, "exists already", "Choose another name.") from None
    except FileNotFoundError:
        remedy = "Create the folder first, or choose another."
        raise _cannot_save(path, f"has no folder {path.parent}", remedy) from None
    except OSError as error:
        remedy = "Choose a folder that you may write to."
        raise _cannot_save(path, f"cannot be written ({error.strerror})", remedy) from None
    try:
        with file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    except OSError as error:
        with suppress(OSError):
            path.unlink()  # an incomplete file would block the next attempt
        remedy = "Free some disk space, or choose another folder. The incomplete file is deleted."
        raise _cannot_save(path, f"was not completed ({error.strerror})", remedy) from None


def load(path: Path) -> list[Message]:
    """Read a saved conversation of text, tool calls and tool results.

    Raises InputError if the file cannot be read or its messages are not in a valid order.
    """
    messages = _messages(path, _json(path, _text(path)))
    try:
        require_order(messages)
        require_text_only(messages)
        for message in messages:
            require_unicode(message_text(message))
    except InputError as error:
        problem = f"{path} holds no conversation to continue: {error.problem}"
        raise InputError(
            problem, remedy=error.remedy, field=error.field or str(path), value=error.value
        ) from None
    except ValueError as error:
        problem = f"{path} holds no conversation to continue: {error}."
        raise InputError(problem, remedy=EXPECTED, field=str(path)) from None
    return messages


def to_json(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return the messages in the shape of the OpenAI API. Calls without an id get one."""
    rows: list[dict[str, Any]] = []
    last_call_id = ""
    for index, message in enumerate(messages):
        if message.tool_calls:
            call = message.tool_calls[0]
            last_call_id = call.id or next_call_id(messages[:index])
            rows.append(
                {
                    "role": "assistant",
                    "content": message.text or None,
                    "tool_calls": [_call_to_json(call, last_call_id)],
                }
            )
        elif message.tool_results:
            result = message.tool_results[0]
            call_id = result.call_id or last_call_id
            rows.append({"role": "tool", "tool_call_id": call_id, "content": result.content})
        else:
            row = {"role": message.role, "content": message.text}
            thinking = {"reasoning_content": message.thinking} if message.thinking else {}
            rows.append({**row, **thinking})
    return rows


def _call_to_json(call: ToolCall, call_id: str) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call_id, "type": "function", "function": function}


def _cannot_save(path: Path, cause: str, remedy: str) -> InputError:
    return InputError(f"{path} {cause}.", remedy=remedy, field=str(path))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        problem, remedy = "does not exist", "Give the path of a conversation that /save wrote."
    except IsADirectoryError:
        problem, remedy = "is a folder", "Give the path of a file in it."
    except UnicodeDecodeError as error:
        problem = f"is not text in UTF-8 (at byte {error.start})"
        remedy = "Convert it, or give another file."
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        remedy = "Correct the path or the file's permissions."
    raise InputError(f"{path} {problem}.", remedy=remedy, field=str(path))


def _json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        problem = f"is not JSON (line {error.lineno}, column {error.colno}: {error.msg})"
    except RecursionError:
        problem = "is nested too deeply to be a conversation"
    raise InputError(f"{path} {problem}.", remedy=EXPECTED, field=str(path))


def _messages(path: Path, row: Any) -> list[Message]:
    if not isinstance(row, dict) or not isinstance(row.get("messages"), list):
        problem = f'{path} is no saved conversation: it has no list called "messages".'
        raise InputError(problem, remedy=EXPECTED, field="messages")
    messages = []
    for index, item in enumerate(row["messages"]):
        try:
            messages.append(_message(item))
        except (KeyError, TypeError, IndexError, InputError):
            problem = (
                f"{path} is no saved conversation: turn {index} lacks a role or a content, "
                "or they are not text."
            )
            raise InputError(problem, remedy=EXPECTED, field=f"messages[{index}]") from None
    return messages


def _message(item: dict[str, Any]) -> Message:
    """Return the message of a JSON object; KeyError, TypeError or InputError if malformed."""
    role: Role = _string(item["role"])  # type: ignore[assignment]  # require_order checks the role
    if item.get("tool_calls"):
        calls = item["tool_calls"]
        return Message(
            role,
            [
                ToolCall(
                    _string(call["id"]),
                    _string(call["function"]["name"]),
                    call["function"]["arguments"],
                )
                for call in calls
            ],
        )
    content = _string(item["content"])
    if role == "tool":
        return Message("tool", (ToolResult(_string(item.get("tool_call_id", "")), content),))
    if item.get("reasoning_content"):
        return replace(assistant_message(_string(item["reasoning_content"]), content), role=role)
    return message_from_turn(role, content)


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value
