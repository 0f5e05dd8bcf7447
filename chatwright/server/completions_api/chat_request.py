"""The request of /v1/chat/completions: its fields and their limits.

Every list, string and number has a limit. An unsupported field is refused by name, because an
ignored option looks like one that works. Only fields without influence on the reply are ignored.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from chatwright.chat.reply_form import ReplyForm
from chatwright.conversation import Message
from chatwright.server.completions_api.chat_message import (
    ChatMessage,
    conversation_of,
    require_answered_calls,
)
from chatwright.server.request_body.response_format import (
    GrammarFormat,
    ResponseFormat,
    answer_constraint,
)
from chatwright.server.request_body.sampling_request import SamplingRequest
from chatwright.server.request_body.tool_request import (
    MAX_TOOLS,
    AnyToolChoice,
    ToolItem,
    choice_of,
    most_calls,
)

MAX_MESSAGES = 1_000


class ChatRequest(SamplingRequest):
    """The body of a request, within every limit."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=20)] = 0
    enable_thinking: bool | None = None
    """Switches the thinking of a reasoning model on or off; without it the model's default."""
    response_format: ResponseFormat | None = None
    grammar: GrammarFormat | None = None
    """What the text of the reply may be, in place of `response_format`. Not OpenAI's."""
    tools: Annotated[list[ToolItem], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: AnyToolChoice | None = None
    parallel_tool_calls: bool = True
    # Accepted with the value that asks for nothing, which some clients always send.
    modalities: Annotated[list[Literal["text"]], Field(min_length=1, max_length=1)] | None = None

    @field_validator("tools")
    @classmethod
    def names_differ(cls, tools: list[ToolItem] | None) -> list[ToolItem] | None:
        """Refuse two tools of one name."""
        names = [tool.function.name for tool in tools or ()]
        if len(names) != len(set(names)):
            raise ValueError("two tools have the same name")
        return tools

    @field_validator("tool_choice")
    @classmethod
    def tool_is_given(
        cls, tool_choice: AnyToolChoice | None, info: ValidationInfo
    ) -> AnyToolChoice | None:
        """Refuse a choice of tools that are not given."""
        names = [tool.function.name for tool in info.data.get("tools") or ()]
        choice, name = choice_of(tool_choice)
        if name and name not in names:
            raise ValueError("names a tool that is not in tools")
        if choice == "required" and not names:
            raise ValueError("needs tools")
        return tool_choice

    @model_validator(mode="after")
    def fields_agree(self) -> ChatRequest:
        """Refuse options without the option they need, and two different token limits."""
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs: true")
        limits = (self.max_tokens, self.max_completion_tokens)
        if None not in limits and limits[0] != limits[1]:
            raise ValueError("max_tokens and max_completion_tokens differ: send one of them")
        if self.grammar is not None and self.response_format is not None:
            raise ValueError("response_format and grammar both constrain the reply: send one")
        require_answered_calls(self.messages)
        return self

    @property
    def form(self) -> ReplyForm:
        """What the reply may be."""
        choice, name = choice_of(self.tool_choice)
        return ReplyForm(
            answer_constraint(self.response_format, self.grammar),
            tuple(tool.to_definition() for tool in self.tools or ()),
            choice,
            name,
            most_calls(self.tool_choice, self.parallel_tool_calls),
        )

    @property
    def conversation(self) -> list[Message]:
        """The messages as a conversation."""
        return conversation_of(self.messages)

    @property
    def token_limit(self) -> int | None:
        """Maximum number of tokens in a reply; None for no limit."""
        return self.max_completion_tokens if self.max_tokens is None else self.max_tokens

    @property
    def token_limit_name(self) -> str:
        """The field that `token_limit` is from."""
        return "max_completion_tokens" if self.max_tokens is None else "max_tokens"

    @property
    def n_alternative(self) -> int:
        """Number of most probable tokens to return with each token."""
        return self.top_logprobs
