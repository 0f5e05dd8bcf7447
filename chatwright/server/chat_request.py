"""What a client may ask of /v1/chat/completions, and what of it becomes a conversation and a sampling config.

Every list, string and number has a limit. A field we do not serve is refused by name, never dropped, because a dropped
option looks like a working one; only fields that say nothing about the reply are read and ignored (IGNORED_FIELDS).

Messages become turns: system (or developer), user and assistant as they are. A command turn travels as one tool call of
the function "command" with arguments {"text": ...}, its result as a "tool" message, so a conversation sent back by a client
is the conversation the model had. Our commands are free text, so the client's own `tools` cannot be honoured: refused.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from chatwright.conversation import Message, ToolResult
from chatwright.engine.philox import MAX_SEED
from chatwright.engine.sampling import SamplingConfig
from chatwright.server.errors import ApiError
from chatwright.tokenizer.tool_call_text import tool_call_message

MAX_TEXT = 200_000  # characters in one message
MAX_MESSAGES = 1_000
IGNORED_FIELDS = (
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "store",
    "metadata",
    "service_tier",
)

ShortText = Annotated[str, StringConstraints(max_length=512)]
Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
StopText = Annotated[str, StringConstraints(min_length=1, max_length=256)]
TokenIdText = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,8}$")]


class Strict(BaseModel):
    """Unknown fields are errors, and "1" is not a number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class TextPart(Strict):
    type: Literal["text"]
    text: Text


class CommandCall(Strict):
    name: Literal["command"]
    arguments: Text

    @field_validator("arguments")
    @classmethod
    def holds_the_command(cls, arguments: str) -> str:
        read_command(arguments)
        return arguments


class ToolCall(Strict):
    id: ShortText
    type: Literal["function"] = "function"
    function: CommandCall


class ChatMessage(Strict):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | Annotated[list[TextPart], Field(min_length=1, max_length=64)] | None = None
    tool_calls: Annotated[list[ToolCall], Field(min_length=1, max_length=1)] | None = None
    tool_call_id: ShortText | None = None
    # The OpenAI clients put these beside an assistant message they send back, without a value.
    name: None = None
    refusal: None = None
    audio: None = None
    function_call: None = None
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None

    @model_validator(mode="after")
    def says_something(self) -> ChatMessage:
        if self.tool_calls and (self.role != "assistant" or self.content):
            raise ValueError("tool_calls stand in an assistant message without content")
        if self.content is None and not self.tool_calls:
            raise ValueError("content is missing")
        return self

    def to_message(self) -> Message:
        if self.tool_calls:
            call = self.tool_calls[0]
            return tool_call_message(read_command(call.function.arguments), call.id)
        assert self.content is not None, "says_something checked it"
        text = (
            self.content
            if isinstance(self.content, str)
            else "".join(part.text for part in self.content)
        )
        match self.role:
            case "system" | "developer":
                return Message("system", text)
            case "tool":
                return Message("tool", (ToolResult(self.tool_call_id or "", text),))
            case "user" | "assistant":
                return Message(self.role, text)


class StreamOptions(Strict):
    include_usage: bool = False


class ChatRequest(Strict):
    model: ShortText
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=8)] = 1
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    logit_bias: Annotated[
        dict[TokenIdText, Annotated[float, Field(ge=-100, le=100)]], Field(max_length=1024)
    ] = {}
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=20)] = 0
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: StopText | Annotated[list[StopText], Field(max_length=4)] = []
    # Not OpenAI's, by the names other servers give them.
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] = 1.0
    # Read and ignored: they say nothing about the reply, and nothing is stored.
    user: ShortText = ""
    safety_identifier: ShortText = ""
    prompt_cache_key: ShortText = ""
    store: bool = False
    metadata: Annotated[
        dict[Annotated[str, StringConstraints(max_length=64)], ShortText], Field(max_length=16)
    ] = {}
    service_tier: Literal["auto", "default"] = "auto"

    @model_validator(mode="after")
    def fields_agree(self) -> ChatRequest:
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options needs stream: true")
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs: true")
        if (
            None not in (self.max_tokens, self.max_completion_tokens)
            and self.max_tokens != self.max_completion_tokens
        ):
            raise ValueError("max_tokens and max_completion_tokens disagree: give one of them")
        return self

    @property
    def conversation(self) -> list[Message]:
        return [message.to_message() for message in self.messages]

    @property
    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    @property
    def token_limit(self) -> int | None:
        return self.max_completion_tokens if self.max_tokens is None else self.max_tokens

    def sampling(self, index: int, seed: int) -> SamplingConfig:
        """For the choice of this index: seeds count up, so choice i of seed s is the only choice of seed s + i."""
        return SamplingConfig(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            frequency_penalty=self.frequency_penalty,
            presence_penalty=self.presence_penalty,
            repetition_penalty=self.repetition_penalty,
            logit_bias={int(token_id): bias for token_id, bias in self.logit_bias.items()},
            stop=self.stops,
            seed=(seed + index) % (MAX_SEED + 1),
            max_tokens=self.token_limit,
            top_log_probs=self.top_logprobs,
        )


def read_command(arguments: str) -> str:
    """The text of a command from the arguments of its call; the inverse of `write_command`."""
    try:
        call = json.loads(arguments)
    except (ValueError, RecursionError):
        call = None
    if not isinstance(call, dict) or call.keys() != {"text"} or not isinstance(call["text"], str):
        raise ValueError('arguments of the function "command" must be {"text": "..."}')
    require_unicode(call["text"])
    return str(call["text"])


def write_command(text: str) -> str:
    return json.dumps({"text": text}, ensure_ascii=False)


def read_request(body: bytes) -> ChatRequest:
    """Bytes from a stranger -> a request within every limit, or an ApiError that names the field at fault."""
    try:
        data = json.loads(body.decode("utf-8-sig"), parse_constant=refuse_constant)
    except RecursionError:
        raise ApiError(400, "the body is nested too deeply", code="invalid_json") from None
    except ValueError:  # not UTF-8, not JSON, NaN or Infinity, a number of thousands of digits
        raise ApiError(400, "the body is not valid JSON in UTF-8", code="invalid_json") from None
    if not isinstance(data, dict):
        raise ApiError(
            400,
            'the body must be a JSON object: {"model": ..., "messages": [...]}',
            code="invalid_json",
        )
    try:
        require_unicode(json.dumps(data, ensure_ascii=False))
    except ValueError as error:
        raise ApiError(400, str(error), code="invalid_text") from None
    # null means "not given", as the OpenAI clients use it
    given = {name: value for name, value in data.items() if value is not None}
    try:
        return ChatRequest.model_validate(given)
    except ValidationError as error:
        raise api_error(error) from None


def refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def require_unicode(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # "\ud800" alone: half a character, which no tokenizer can encode
        raise ValueError("the text holds half of a surrogate pair: send whole characters") from None


def api_error(error: ValidationError) -> ApiError:
    """The first thing that is wrong, named by its path. Never the value: it may be somebody's text."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    param = ".".join(str(part)[:64] for part in first["loc"]) or None
    if first["type"] == "extra_forbidden":
        return ApiError(
            400,
            f"{param} is not supported by this server: remove it",
            code="unsupported_field",
            param=param,
        )
    if first["type"] == "missing":
        return ApiError(400, f"{param} is missing", code="missing_field", param=param)
    message = first["msg"].removeprefix("Value error, ")
    return ApiError(
        400, f"{param}: {message}" if param else message, code="invalid_value", param=param
    )
