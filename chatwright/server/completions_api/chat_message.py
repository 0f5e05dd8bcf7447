"""The messages of a request, as OpenAI's API writes them, and the conversation they stand for.

Without tools of the client, a tool call of Chatwright's own models is a call of the function
"command" with arguments {"text": ...}. So a client can send back exactly the conversation that the
model saw.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)

from chatwright.chat.merge_turns import merge_turns
from chatwright.conversation import (
    Message,
    Thinking,
    ToolCall,
    ToolResult,
    assistant_message,
)
from chatwright.conversation import (
    Text as TextOfMessage,
)
from chatwright.server.request_body.json_body import require_unicode
from chatwright.server.request_body.request_parser import ShortText, Strict, Text
from chatwright.tokenizer.tool_call_text import FREE_TEXT_FUNCTION, read_tool_call

MAX_TOOL_CALLS = 64
"""Tool calls in one message."""
OTHER_PARTS = {"image_url": "images", "input_audio": "sound", "file": "files"}
"""Types of parts that OpenAI's API has and this server does not read."""


class TextPart(Strict):
    """A text part of a message."""

    type: Literal["text", "refusal"]
    text: Text = ""
    refusal: Text = ""

    @field_validator("type", mode="before")
    @classmethod
    def is_text(cls, kind: Any) -> Any:
        """Say what is wrong with parts of other types."""
        if isinstance(kind, str) and kind in OTHER_PARTS:
            raise ValueError(f"this model reads text only, not {OTHER_PARTS[kind]}: send text")
        return kind

    @model_validator(mode="after")
    def has_one_text(self) -> TextPart:
        """Refuse a part without the text that its type names."""
        if {self.type} != self.model_fields_set - {"type"}:
            raise ValueError(f"a part of type {self.type} needs the field {self.type}, and no more")
        return self

    @property
    def content(self) -> str:
        """The text of the part."""
        return self.text or self.refusal


class FunctionCall(Strict):
    """A call of a function."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    arguments: Text = ""
    """A JSON object; an empty text is an empty one."""

    @field_validator("arguments")
    @classmethod
    def arguments_are_an_object(cls, arguments: str) -> str:
        """Refuse arguments that are not the JSON text of an object."""
        read_arguments(arguments)
        return arguments

    @model_validator(mode="after")
    def command_has_one_text(self) -> FunctionCall:
        """Refuse other arguments of "command" than {"text": ...}."""
        if self.name == FREE_TEXT_FUNCTION:
            read_command(self.arguments)
        return self

    def to_call(self, call_id: str) -> ToolCall:
        """Return the call."""
        if self.name == FREE_TEXT_FUNCTION:
            return read_tool_call(read_command(self.arguments), call_id)
        return ToolCall(call_id, self.name, read_arguments(self.arguments))


class ToolCallItem(Strict):
    """A tool call in an assistant message."""

    id: ShortText
    type: Literal["function"] = "function"
    function: FunctionCall


def _content_kind(content: Any) -> str:
    return "parts" if isinstance(content, list) else "text"


Content = Annotated[
    Annotated[Text, Tag("text")]
    | Annotated[list[TextPart], Field(min_length=1, max_length=64), Tag("parts")],
    Discriminator(_content_kind),
]


class ChatMessage(Strict):
    """One message of the request."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Content | None = None
    tool_calls: Annotated[list[ToolCallItem], Field(max_length=MAX_TOOL_CALLS)] | None = None
    tool_call_id: ShortText | None = None
    reasoning_content: Text | None = None
    """What the model thought before this answer, as a response of this server holds it."""
    name: ShortText | None = None
    """Ignored: chat formats have no place for names."""
    # OpenAI's clients send these without a value in assistant messages that they send back.
    refusal: None = None
    audio: None = None
    function_call: None = None
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None

    @model_validator(mode="after")
    def has_content_or_tool_call(self) -> ChatMessage:
        """Refuse a message with neither content nor tool calls, and calls of others."""
        if self.tool_calls and self.role != "assistant":
            raise ValueError("tool_calls belong in an assistant message")
        if self.content is None and not self.tool_calls:
            raise ValueError("content is missing")
        if self.reasoning_content and self.role != "assistant":
            raise ValueError("reasoning_content belongs in an assistant message")
        return self

    @property
    def text(self) -> str:
        """The text of all parts; "" without content."""
        if isinstance(self.content, list):
            return "".join(part.content for part in self.content)
        return self.content or ""

    def to_message(self) -> Message:
        """Return the message of the conversation."""
        if self.tool_calls:
            thinking = [Thinking(self.reasoning_content)] if self.reasoning_content else []
            texts = [TextOfMessage(self.text)] if self.text else []
            calls = [call.function.to_call(call.id) for call in self.tool_calls]
            return Message("assistant", (*thinking, *texts, *calls))
        match self.role:
            case "system" | "developer":
                return Message("system", self.text)
            case "tool":
                return Message("tool", (ToolResult(self.tool_call_id or "", self.text),))
            case "assistant":
                return assistant_message(self.reasoning_content or "", self.text)
            case "user":
                return Message("user", self.text)


def conversation_of(messages: Sequence[ChatMessage]) -> list[Message]:
    """Return the conversation of a request; neighboring turns of one role are joined."""
    return merge_turns([message.to_message() for message in messages])


def require_answered_calls(messages: Sequence[ChatMessage]) -> None:
    """Raise ValueError for a result without its call, or a call without its result."""
    waiting: dict[str, int] = {}
    for index, message in enumerate(messages):
        if message.role == "tool":
            call_id = message.tool_call_id
            if call_id is None and len(waiting) == 1:
                waiting.clear()
            elif waiting.pop(call_id or "", None) is None:
                raise ValueError(
                    f"messages[{index}].tool_call_id is not the id of a call that waits for its "
                    "result: let each tool message follow its call"
                )
        elif waiting:
            break
        waiting |= {call.id: index for call in message.tool_calls or ()}
    if waiting and messages[-1].role != "assistant":
        raise ValueError(
            f"messages[{next(iter(waiting.values()))}].tool_calls: a call has no result; send a "
            "tool message with its tool_call_id"
        )


def read_arguments(arguments: str) -> dict[str, Any]:
    """Return the arguments of a call; ValueError if they are not the JSON text of an object."""
    try:
        values = json.loads(arguments or "{}", parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise ValueError("arguments must be the JSON text of an object")
    require_unicode(json.dumps(values, ensure_ascii=False))
    return values


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def read_command(arguments: str) -> str:
    """Return the text in the arguments of the function "command"; see `write_command`.

    Raises ValueError for other arguments.
    """
    values = read_arguments(arguments)
    if values.keys() != {"text"} or not isinstance(values["text"], str):
        raise ValueError('arguments of the function "command" must be {"text": "..."}')
    return str(values["text"])


def write_command(text: str) -> str:
    """Return the arguments of the function "command" for a text."""
    return json.dumps({"text": text}, ensure_ascii=False)
