"""Conversations: messages made of text, thinking, images, files, tool calls and tool results.

`tokenizer/chat_template.py` is the only place that turns a conversation into token ids.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from chatwright.errors import InputError

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[str, ...] = get_args(Role)


@dataclass(frozen=True)
class Text:
    """Plain text."""

    text: str


@dataclass(frozen=True)
class Thinking:
    """What the assistant thought before its answer.

    Formats of reasoning models mark it up; later prompts leave it out where the model's template
    does.
    """

    text: str


@dataclass(frozen=True)
class Image:
    """An encoded image. `media_type` is its MIME type, for example "image/png"."""

    data: bytes
    media_type: str


@dataclass(frozen=True)
class File:
    """An attached file. `media_type` is its MIME type, for example "application/pdf"."""

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, init=False)
class ToolCall:
    """A request by the assistant to run a tool.

    `id` links the call to its result. It is "" where the source has no ids, as in training rows;
    then a result answers the call before it. `arguments` is a JSON object with sorted keys.
    """

    id: str
    name: str
    arguments: str

    def __init__(self, id: str, name: str, arguments: str | Mapping[str, Any]) -> None:
        """Store `arguments`, a mapping or the JSON text of an object, as canonical JSON.

        Raises InputError if the JSON text is invalid or is not an object.
        """
        values = arguments if isinstance(arguments, Mapping) else _json_object(arguments)
        object.__setattr__(self, "id", id)
        object.__setattr__(self, "name", name)
        canonical = json.dumps(dict(values), ensure_ascii=False, sort_keys=True, allow_nan=False)
        object.__setattr__(self, "arguments", canonical)

    @property
    def parsed_arguments(self) -> dict[str, Any]:
        """The arguments as a dictionary."""
        return dict(json.loads(self.arguments))


@dataclass(frozen=True)
class ToolDefinition:
    """A tool that a model may call."""

    name: str
    parameters: Mapping[str, Any]
    """JSON schema of the arguments, an object."""
    description: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the definition as OpenAI's API writes it."""
        description = {"description": self.description} if self.description else {}
        function = {"name": self.name, **description, "parameters": dict(self.parameters)}
        return {"type": "function", "function": function}


@dataclass(frozen=True)
class ToolResult:
    """What a tool returned for the call with id `call_id`."""

    call_id: str
    content: str


Part = Text | Thinking | Image | File | ToolCall | ToolResult


@dataclass(frozen=True, init=False)
class Message:
    """One turn of a conversation.

    Thinking and tool calls occur only in assistant messages. A `tool` message holds tool results
    and nothing else.
    """

    role: Role
    parts: tuple[Part, ...]

    def __init__(self, role: Role, parts: str | Iterable[Part]) -> None:
        """Accept parts, or a string as a short form of one text part.

        Raises InputError if a part may not occur in a message of this role.
        """
        as_tuple = (Text(parts),) if isinstance(parts, str) else tuple(parts)
        object.__setattr__(self, "role", role)
        object.__setattr__(self, "parts", as_tuple)
        for part in as_tuple:
            _require_part_fits_role(role, part)

    @property
    def text(self) -> str:
        """The text of all text parts, joined; "" if there are none."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def thinking(self) -> str:
        """The text of all thinking parts, joined; "" if there are none."""
        return "".join(part.text for part in self.parts if isinstance(part, Thinking))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls among the parts."""
        return tuple(part for part in self.parts if isinstance(part, ToolCall))

    @property
    def tool_results(self) -> tuple[ToolResult, ...]:
        """The tool results among the parts."""
        return tuple(part for part in self.parts if isinstance(part, ToolResult))


Conversation = Sequence[Message]


def assistant_message(thinking: str, text: str) -> Message:
    """Return the assistant message with this text, after its thinking if there is any."""
    return Message("assistant", (Thinking(thinking), Text(text)) if thinking else text)


def tool_result_message(call: ToolCall, content: str) -> Message:
    """Return the `tool` message that answers `call`."""
    return Message("tool", (ToolResult(call.id, content),))


def next_call_id(conversation: Conversation) -> str:
    """Return an id for the next tool call: "call_1", "call_2" and so on."""
    n_calls = sum(len(message.tool_calls) for message in conversation)
    return f"call_{n_calls + 1}"


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InputError(
            "The arguments of a tool call are not a JSON object.",
            remedy='Write an object, for example {"city": "Paris"}.',
            field="arguments",
        )
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not valid JSON")


def _require_part_fits_role(role: str, part: Part) -> None:
    if role == "tool" and not isinstance(part, ToolResult):
        raise InputError(
            f"A tool message holds tool results only, not {type(part).__name__}.",
            remedy="Put the text into a ToolResult with the id of the call it answers.",
            field="parts",
        )
    if isinstance(part, ToolCall | Thinking) and role != "assistant":
        name = "a tool call" if isinstance(part, ToolCall) else "thinking"
        raise InputError(
            f"A {role} message cannot hold {name}.",
            remedy="Put it into an assistant message.",
            field="role",
            value=role,
        )
    if isinstance(part, ToolResult) and role != "tool":
        raise InputError(
            f"A {role} message cannot hold a tool result.",
            remedy="Put the tool result into a tool message.",
            field="role",
            value=role,
        )
