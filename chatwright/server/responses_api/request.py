"""The request of /v1/responses, and the request of /v1/chat/completions that it means."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    TypeAdapter,
    model_validator,
)

from chatwright.engine.messages import MAX_TEMPERATURE
from chatwright.server.completions_api.chat_request import MAX_MESSAGES, ChatRequest
from chatwright.server.request_body.request_parser import ShortText, Strict, Text, parse_fields

FIELD_NAMES = {
    "max_completion_tokens": "max_output_tokens",
    "messages": "input",
    "response_format": "text",
}
"""Our names of fields in errors, by the names that ChatRequest uses."""
ResponseId = Annotated[str, StringConstraints(pattern=r"^resp_[0-9a-f]{32}$")]
Status = Literal["in_progress", "completed", "incomplete"]


class TextPart(Strict):
    """A text in a message."""

    type: Literal["input_text", "output_text", "reasoning_text", "refusal"]
    text: Text = ""
    refusal: Text = ""
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None
    logprobs: Annotated[list[Any], Field(max_length=1_000_000)] | None = None


def _kind(content: Any) -> str:
    return "parts" if isinstance(content, list) else "text"


Parts = Annotated[list[TextPart], Field(max_length=256)]
Texts = Annotated[
    Annotated[Text, Tag("text")] | Annotated[Parts, Tag("parts")], Discriminator(_kind)
]


class MessageItem(Strict):
    """A message of the conversation."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: Texts
    id: ShortText = ""
    status: Status = "completed"
    phase: ShortText = ""


class CallItem(Strict):
    """A tool call of the model."""

    type: Literal["function_call"]
    call_id: ShortText
    name: ShortText
    arguments: Text
    id: ShortText = ""
    status: Status = "completed"


class CallOutputItem(Strict):
    """The result of a tool call."""

    type: Literal["function_call_output"]
    call_id: ShortText
    output: Texts
    id: ShortText = ""
    status: Status = "completed"


class ReasoningItem(Strict):
    """What the model thought before the next item."""

    type: Literal["reasoning"]
    id: ShortText = ""
    summary: Annotated[list[Any], Field(max_length=0)] | None = None
    content: Parts | None = None
    encrypted_content: None = None
    status: Status = "completed"


def _item_kind(item: Any) -> str:
    return str(item.get("type", "message")) if isinstance(item, dict) else "message"


Item = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[CallItem, Tag("function_call")]
    | Annotated[CallOutputItem, Tag("function_call_output")]
    | Annotated[ReasoningItem, Tag("reasoning")],
    Discriminator(_item_kind),
]


class FunctionTool(Strict):
    """A tool that the model may call."""

    type: Literal["function"]
    name: ShortText
    description: Text = ""
    parameters: dict[str, Any] | None = None
    strict: bool | None = None

    def to_chat(self) -> dict[str, Any]:
        """Return the tool as /v1/chat/completions takes it."""
        function: dict[str, Any] = {"name": self.name}
        for name in ("description", "parameters", "strict"):
            if value := getattr(self, name):
                function[name] = value
        return {"type": "function", "function": function}


class NamedTool(Strict):
    """The choice of one tool."""

    type: Literal["function"]
    name: ShortText


class Format(Strict):
    """The form of the text."""

    type: Literal["text", "json_object", "json_schema"]
    name: ShortText = ""
    description: Text = ""
    # pydantic has a method `schema`, so the field has another name here.
    json_schema: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None

    def to_chat(self) -> dict[str, Any]:
        """Return the form as /v1/chat/completions takes it."""
        if self.type != "json_schema":
            return {"type": self.type}
        schema: dict[str, Any] = {"name": self.name, "schema": self.json_schema}
        if self.strict is not None:
            schema["strict"] = self.strict
        return {"type": self.type, "json_schema": schema}


class TextOptions(Strict):
    """How the text is written."""

    format: Format | None = None
    verbosity: ShortText = ""
    """Ignored."""


class ReasoningOptions(Strict):
    """Whether the model thinks before it answers."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    """`none` switches thinking off, the others on; the model has no degrees."""
    summary: ShortText = ""
    """Ignored: the thinking is sent whole."""
    generate_summary: ShortText = ""


class StreamOptions(Strict):
    """Ignored: responses are not padded."""

    include_obfuscation: bool = False


class ResponsesRequest(Strict):
    """The body of a request, within every limit."""

    model: ShortText
    input: Annotated[
        Annotated[Text, Tag("text")]
        | Annotated[list[Item], Field(min_length=1, max_length=MAX_MESSAGES), Tag("parts")],
        Discriminator(_kind),
    ]
    instructions: Text | None = None
    """The system prompt of this reply alone; the next reply does not inherit it."""
    previous_response_id: ResponseId | None = None
    store: bool = True
    """Whether the response can be continued and read later."""
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_output_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    temperature: Annotated[float, Field(ge=0, le=MAX_TEMPERATURE)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    truncation: Literal["auto", "disabled"] = "disabled"
    """`auto`: the oldest messages may be left out if the conversation is too long."""
    tools: Annotated[list[FunctionTool], Field(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool = "auto"
    parallel_tool_calls: bool = True
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    metadata: Annotated[
        dict[Annotated[str, StringConstraints(max_length=64)], ShortText] | None,
        Field(max_length=16),
    ] = None
    # Accepted with the values that ask for nothing, or ignored.
    background: Literal[False] = False
    include: Annotated[list[ShortText], Field(max_length=16)] | None = None
    user: ShortText = ""
    safety_identifier: ShortText = ""
    prompt_cache_key: ShortText = ""
    service_tier: Literal["auto", "default"] = "auto"
    # Not OpenAI's.
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    """The same seed, model and conversation give the same reply."""
    logit_bias: dict[str, float] | None = None

    @model_validator(mode="after")
    def stream_options_need_a_stream(self) -> ResponsesRequest:
        """Refuse options without the option they need."""
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options needs stream: true")
        return self

    @property
    def items(self) -> list[Item]:
        """The input as items."""
        if isinstance(self.input, str):
            return [MessageItem(role="user", content=self.input)]
        return self.input

    def to_chat(self, earlier: list[dict[str, Any]]) -> ChatRequest:
        """Return the request of /v1/chat/completions; ApiError if the model has no such thing.

        `earlier` are the messages of the conversation so far, without instructions.
        """
        messages = [*earlier, *chat_messages(self.items)]
        if self.instructions is not None:
            messages.insert(0, {"role": "system", "content": self.instructions})
        fields: dict[str, Any] = {
            "model": self.model,
            "messages": messages,
            # The model has defaults for what the request leaves out.
            **self.model_dump(include={"temperature", "top_p"}, exclude_unset=True),
            "parallel_tool_calls": self.parallel_tool_calls,
        }
        if self.tools:
            fields["tools"] = [tool.to_chat() for tool in self.tools]
        if isinstance(self.tool_choice, NamedTool):
            function = {"name": self.tool_choice.name}
            fields["tool_choice"] = {"type": "function", "function": function}
        elif self.tool_choice != "auto":
            fields["tool_choice"] = self.tool_choice
        if self.text is not None and self.text.format is not None:
            fields["response_format"] = self.text.format.to_chat()
        if self.reasoning is not None and self.reasoning.effort is not None:
            fields["enable_thinking"] = self.reasoning.effort != "none"
        fields["max_completion_tokens"] = self.max_output_tokens
        fields["seed"] = self.seed
        fields["logit_bias"] = self.logit_bias
        return parse_fields(fields, ChatRequest, FIELD_NAMES)


def chat_messages(items: list[Item]) -> list[dict[str, Any]]:
    """Return the messages of /v1/chat/completions that items mean."""
    messages: list[dict[str, Any]] = []
    thinking = ""
    for item in items:
        message: dict[str, Any]
        match item:
            case ReasoningItem():
                thinking += _joined(item.content or [])
                continue
            case MessageItem():
                message = {"role": item.role, "content": _joined(item.content)}
            case CallItem():
                function = {"name": item.name, "arguments": item.arguments}
                call = {"id": item.call_id, "type": "function", "function": function}
                is_next_call = bool(messages) and "tool_calls" in messages[-1] and not thinking
                if is_next_call:  # calls of one turn are one message
                    messages[-1]["tool_calls"].append(call)
                    continue
                message = {"role": "assistant", "tool_calls": [call]}
            case CallOutputItem():
                content = _joined(item.output)
                message = {"role": "tool", "tool_call_id": item.call_id, "content": content}
        if thinking and message["role"] == "assistant":
            message["reasoning_content"] = thinking
        thinking = ""
        messages.append(message)
    return messages


def _joined(content: str | list[TextPart]) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.text or part.refusal for part in content)


def items_of(output: list[dict[str, Any]]) -> list[Item]:
    """Return the items of a response's output, as a client would send them back."""
    return TypeAdapter(list[Item]).validate_python(output)
