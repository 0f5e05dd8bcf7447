"""The request of /v1/messages, and the request of /v1/chat/completions that it means.

The fields are Anthropic's. The limits and the conversation are those of
`completions_api/chat_request.py`, so both APIs give a model the same tokens.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from chatwright.engine.messages import MAX_TEMPERATURE
from chatwright.server.completions_api.chat_request import MAX_MESSAGES, ChatRequest
from chatwright.server.request_body.request_parser import ShortText, Strict, Text, parse_fields
from chatwright.server.request_body.sampling_request import StopText

MAX_BLOCKS = 256
OTHER_BLOCKS = ("image", "document", "search_result")
"""Types of blocks that Anthropic's API has and this server does not read."""
FIELD_NAMES = {"max_completion_tokens": "max_tokens", "stop": "stop_sequences"}
"""Our names of fields in errors, by the names that ChatRequest uses."""


class CacheControl(Strict):
    """Ignored: the server caches what it can."""

    type: Literal["ephemeral"]
    ttl: ShortText = ""


class TextBlock(Strict):
    """A block of text."""

    type: Literal["text"]
    text: Text
    cache_control: CacheControl | None = None
    citations: Annotated[list[Any], Field(max_length=0)] | None = None


class ThinkingBlock(Strict):
    """What the model thought, as a response of this server holds it."""

    type: Literal["thinking"]
    thinking: Text
    signature: Text = ""


class ToolUseBlock(Strict):
    """A tool call of the model."""

    type: Literal["tool_use"]
    id: ShortText
    name: ShortText
    input: dict[str, Any]
    cache_control: CacheControl | None = None
    caller: dict[str, Any] | None = None


def _kind(content: Any) -> str:
    return "blocks" if isinstance(content, list) else "text"


Texts = Annotated[
    Annotated[Text, Tag("text")]
    | Annotated[list[TextBlock], Field(max_length=MAX_BLOCKS), Tag("blocks")],
    Discriminator(_kind),
]


class ToolResultBlock(Strict):
    """The result of a tool call."""

    type: Literal["tool_result"]
    tool_use_id: ShortText
    content: Texts = ""
    is_error: bool = False
    cache_control: CacheControl | None = None


Block = Annotated[
    TextBlock | ThinkingBlock | ToolUseBlock | ToolResultBlock, Field(discriminator="type")
]


class Turn(Strict):
    """One message of the request."""

    role: Literal["user", "assistant"]
    content: Annotated[
        Annotated[Text, Tag("text")]
        | Annotated[list[Block], Field(min_length=1, max_length=MAX_BLOCKS), Tag("blocks")],
        Discriminator(_kind),
    ]

    @field_validator("content", mode="before")
    @classmethod
    def holds_text_only(cls, content: Any) -> Any:
        """Say what is wrong with blocks of other types."""
        for block in content if isinstance(content, list) else ():
            if isinstance(block, dict) and block.get("type") in OTHER_BLOCKS:
                raise ValueError(f"this model reads text only, not {block['type']}: send text")
        return content

    def to_chat(self) -> list[dict[str, Any]]:
        """Return the messages of /v1/chat/completions that this turn means."""
        if isinstance(self.content, str):
            return [{"role": self.role, "content": self.content}]
        results = [
            {
                "role": "tool",
                "tool_call_id": block.tool_use_id,
                "content": _joined(block.content),
            }
            for block in self.content
            if isinstance(block, ToolResultBlock)
        ]
        calls = [_call(block) for block in self.content if isinstance(block, ToolUseBlock)]
        text = "".join(block.text for block in self.content if isinstance(block, TextBlock))
        thinking = [block.thinking for block in self.content if isinstance(block, ThinkingBlock)]
        message: dict[str, Any] = {"role": self.role}
        if calls:
            message["tool_calls"] = calls
        if text or not (calls or results):
            message["content"] = text
        if thinking:
            message["reasoning_content"] = "".join(thinking)
        return [*results, message] if len(message) > 1 else results


class Tool(Strict):
    """A tool that the model may call."""

    type: Literal["custom"] = "custom"
    name: ShortText
    description: Text = ""
    input_schema: dict[str, Any]
    cache_control: CacheControl | None = None
    strict: bool = False

    def to_chat(self) -> dict[str, Any]:
        """Return the tool as /v1/chat/completions takes it."""
        function = {"name": self.name, "parameters": self.input_schema}
        if self.description:
            function["description"] = self.description
        return {"type": "function", "function": function}


class ToolChoice(Strict):
    """Which tool the model calls."""

    type: Literal["auto", "any", "tool", "none"]
    name: ShortText = ""
    disable_parallel_tool_use: bool = False

    def to_chat(self) -> Any:
        """Return the choice as /v1/chat/completions takes it."""
        if self.type == "tool":
            return {"type": "function", "function": {"name": self.name}}
        return "required" if self.type == "any" else self.type


class ThinkingChoice(Strict):
    """Whether the model thinks before it answers."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Ignored: `max_tokens` limits thinking and answer together."""
    display: ShortText = ""


class Metadata(Strict):
    """Ignored."""

    user_id: ShortText = ""


class CountTokensRequest(Strict):
    """The body of /v1/messages/count_tokens: the fields that decide the prompt."""

    model: ShortText
    messages: Annotated[list[Turn], Field(min_length=1, max_length=MAX_MESSAGES)]
    system: Texts | None = None
    thinking: ThinkingChoice | None = None
    tools: Annotated[list[Tool], Field(max_length=128)] | None = None
    tool_choice: ToolChoice | None = None

    def fields(self) -> dict[str, Any]:
        """Return the fields of a ChatRequest."""
        messages = [message for turn in self.messages for message in turn.to_chat()]
        if self.system:
            messages.insert(0, {"role": "system", "content": _joined(self.system)})
        fields: dict[str, Any] = {"model": self.model, "messages": messages}
        if self.thinking is not None and self.thinking.type != "adaptive":
            fields["enable_thinking"] = self.thinking.type == "enabled"
        if self.tools:
            fields["tools"] = [tool.to_chat() for tool in self.tools]
        if self.tool_choice is not None:
            fields["tool_choice"] = self.tool_choice.to_chat()
            fields["parallel_tool_calls"] = not self.tool_choice.disable_parallel_tool_use
        return fields

    def to_chat(self) -> ChatRequest:
        """Return the request of /v1/chat/completions; ApiError if the model has no such thing."""
        return parse_fields(self.fields(), ChatRequest, FIELD_NAMES)


class MessagesRequest(CountTokensRequest):
    """The body of /v1/messages."""

    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)]
    stream: bool = False
    temperature: Annotated[float, Field(ge=0, le=MAX_TEMPERATURE)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    stop_sequences: Annotated[list[StopText], Field(max_length=4)] | None = None
    # Ignored.
    metadata: Metadata | None = None
    cache_control: CacheControl | None = None
    service_tier: Literal["auto", "standard_only"] = "auto"
    # Not Anthropic's.
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    """The same seed, model and messages give the same reply."""
    logit_bias: dict[str, float] | None = None

    def fields(self) -> dict[str, Any]:
        """Return the fields of a ChatRequest."""
        fields = {
            **super().fields(),
            "max_completion_tokens": self.max_tokens,
            # The model has defaults for what the request leaves out.
            **self.model_dump(include={"temperature", "top_p", "top_k"}, exclude_unset=True),
        }
        if self.stop_sequences:
            fields["stop"] = list(self.stop_sequences)
        for name in ("seed", "logit_bias"):
            if (value := getattr(self, name)) is not None:
                fields[name] = value
        return fields


def _joined(content: str | list[TextBlock]) -> str:
    return content if isinstance(content, str) else "".join(block.text for block in content)


def _call(block: ToolUseBlock) -> dict[str, Any]:
    arguments = json.dumps(block.input, ensure_ascii=False)
    function = {"name": block.name, "arguments": arguments}
    return {"id": block.id, "type": "function", "function": function}
