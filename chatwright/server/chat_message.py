"""The messages of a request, as OpenAI's API writes them, and the conversation they stand for.

A tool call of the model is a call of the function "command" with arguments {"text": ...}, and its
result is a "tool" message. So a client can send back exactly the conversation that the model saw.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from chatwright.chat.merge_turns import merge_turns
from chatwright.conversation import Message, ToolResult, assistant_message
from chatwright.server.json_body import require_unicode
from chatwright.server.request_parser import ShortText, Strict, Text
from chatwright.tokenizer.tool_call_text import tool_call_message

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
    """A call of the function "command"."""

    name: Literal["command"]
    arguments: Text

    @field_validator("arguments")
    @classmethod
    def arguments_hold_one_text(cls, arguments: str) -> str:
        """Refuse arguments other than {"text": ...}."""
        read_command(arguments)
        return arguments


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
    tool_calls: Annotated[list[ToolCallItem], Field(max_length=1)] | None = None
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
        """Refuse a message with neither content nor tool calls.

        Tool calls beside content or outside an assistant message are refused, too.
        """
        if self.tool_calls and (self.role != "assistant" or self.content):
            raise ValueError("tool_calls belong in an assistant message without content")
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
            call = self.tool_calls[0]
            return tool_call_message(read_command(call.function.arguments), call.id)
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


def read_command(arguments: str) -> str:
    """Return the text in the arguments of the function "command"; see `write_command`.

    Raises ValueError for other arguments.
    """
    try:
        call = json.loads(arguments)
    except (ValueError, RecursionError):
        call = None
    if not isinstance(call, dict) or call.keys() != {"text"} or not isinstance(call["text"], str):
        raise ValueError('arguments of the function "command" must be {"text": "..."}')
    require_unicode(call["text"])
    return str(call["text"])


def write_command(text: str) -> str:
    """Return the arguments of the function "command" for a text."""
    return json.dumps({"text": text}, ensure_ascii=False)
