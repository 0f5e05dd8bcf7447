"""The request of /v1/chat/completions: its fields, their limits, and its conversation.

Every list, string and number has a limit. An unsupported field is refused by name, because an
ignored option looks like one that works. Only fields without influence on the reply are ignored.

A tool call of the model is a call of the function "command" with arguments {"text": ...}, and its
result is a "tool" message. So a client can send back exactly the conversation that the model saw.
The model's tool calls are free text, so the client's own `tools` are refused.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    field_validator,
    model_validator,
)

from chatwright.conversation import Message, ToolResult, assistant_message
from chatwright.server.request_parser import ShortText, Strict, Text, require_unicode
from chatwright.server.sampling_request import SamplingRequest
from chatwright.tokenizer.tool_call_text import tool_call_message

MAX_MESSAGES = 1_000


class TextPart(Strict):
    """A text part of a message."""

    type: Literal["text"]
    text: Text


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


class ChatMessage(Strict):
    """One message of the request."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | Annotated[list[TextPart], Field(min_length=1, max_length=64)] | None = None
    tool_calls: Annotated[list[ToolCallItem], Field(min_length=1, max_length=1)] | None = None
    tool_call_id: ShortText | None = None
    reasoning_content: Text | None = None
    """What the model thought before this answer, as a response of this server holds it."""
    # OpenAI's clients send these without a value in assistant messages that they send back.
    name: None = None
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

    def to_message(self) -> Message:
        """Return the message of the conversation."""
        if self.tool_calls:
            call = self.tool_calls[0]
            return tool_call_message(read_command(call.function.arguments), call.id)
        assert self.content is not None, "checked by has_content_or_tool_call"
        if isinstance(self.content, str):
            text = self.content
        else:
            text = "".join(part.text for part in self.content)
        match self.role:
            case "system" | "developer":
                return Message("system", text)
            case "tool":
                return Message("tool", (ToolResult(self.tool_call_id or "", text),))
            case "assistant" if self.reasoning_content:
                return assistant_message(self.reasoning_content, text)
            case "user" | "assistant":
                return Message(self.role, text)


class TextFormat(Strict):
    """The only format of replies: free text."""

    type: Literal["text"]


class ChatRequest(SamplingRequest):
    """The body of a request, within every limit."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=20)] = 0
    enable_thinking: bool | None = None
    """Switches the thinking of a reasoning model on or off; without it the model's default."""
    # Accepted with the values that ask for nothing, which some clients always send.
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    parallel_tool_calls: bool = True
    response_format: TextFormat | None = None
    modalities: Annotated[list[Literal["text"]], Field(min_length=1, max_length=1)] | None = None

    @model_validator(mode="after")
    def fields_agree(self) -> ChatRequest:
        """Refuse options without the option they need, and two different token limits."""
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs: true")
        limits = (self.max_tokens, self.max_completion_tokens)
        if None not in limits and limits[0] != limits[1]:
            raise ValueError("max_tokens and max_completion_tokens differ: send one of them")
        return self

    @property
    def conversation(self) -> list[Message]:
        """The messages as a conversation."""
        return [message.to_message() for message in self.messages]

    @property
    def token_limit(self) -> int | None:
        """Maximum number of tokens in a reply; None for no limit."""
        return self.max_completion_tokens if self.max_tokens is None else self.max_tokens

    @property
    def n_alternative(self) -> int:
        """Number of most probable tokens to return with each token."""
        return self.top_logprobs


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
