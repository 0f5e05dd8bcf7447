"""Events of a reply, in the order they happen. The last event is always `Finished`."""

from dataclasses import dataclass, field
from typing import Literal

from chatwright.chat.receipt import AnsweredRequest
from chatwright.conversation import Message, ToolCall, ToolResult
from chatwright.engine.messages import PromptScored, TokenSampled

Reason = Literal["stop", "length", "tool_call", "canceled", "failed"]


@dataclass(frozen=True)
class TextDelta:
    """The next piece of the text."""

    text: str
    tokens: tuple[TokenSampled, ...] = ()
    """Tokens sampled since the previous piece, for displays that show probabilities."""


@dataclass(frozen=True)
class ThinkingDelta:
    """The next piece of what the model thinks before its answer."""

    text: str
    tokens: tuple[TokenSampled, ...] = ()
    """Tokens sampled since the previous piece."""


@dataclass(frozen=True)
class ToolCallDelta:
    """The next piece of a call of one of the caller's tools, while it is written."""

    number: int
    """Which call of the reply, from 0."""
    name: str
    """The tool's name."""
    arguments: str
    """The next piece of the arguments as JSON. Chatwright's own models: of the call's one text."""


@dataclass(frozen=True)
class ToolCalled:
    """The model calls a tool."""

    call: ToolCall


@dataclass(frozen=True)
class ToolReturned:
    """A tool returned its result, and the model continues with it."""

    call: ToolCall
    result: ToolResult


@dataclass(frozen=True)
class Truncated:
    """The oldest messages did not fit into the model's context and were left out."""

    n_cut: int
    """Number of messages left out."""
    n_kept: int
    """Number of messages in the prompt."""
    context_length: int
    """Maximum number of tokens of prompt and reply together."""

    def __str__(self) -> str:
        """Return the explanation for the user."""
        return (
            f"The model sees {self.context_length} tokens: the oldest {self.n_cut} messages were "
            f"left out of this reply, {self.n_kept} remain."
        )


@dataclass(frozen=True)
class Waiting:
    """A step of the engine has ended without an event of this reply.

    Only an assistant with `reports_waiting` yields it, to callers that serve several replies.
    """


@dataclass(frozen=True)
class Usage:
    """Counts of tokens."""

    prompt_tokens: int
    """Tokens of the last request's prompt; each tool that is run causes a further request."""
    completion_tokens: int
    """Sampled tokens of all requests, stop tokens included."""
    cached_tokens: int = 0
    """Tokens of the prompt whose keys and values came from an earlier request."""


@dataclass(frozen=True)
class Finished:
    """The end of a reply, with the whole message."""

    reason: Reason
    usage: Usage
    message: Message
    """The reply; it holds a tool call if the reason is "tool_call"."""
    seed: int | None = None
    """Seed of the sampling. The same conversation, settings, model and seed give the same reply."""
    stopped_by: str = ""
    """Name of the control token, or the stop text, that ended the reply; "" if none did.

    "end" is Chatwright's end token. Special tokens of imported models have no other name than their
    string, for example "<|im_end|>".
    """
    mean_log_prob: float = 0.0
    """Mean log-probability of the sampled tokens, before temperature and penalties."""
    error: str = ""
    """Explanation for the user, if the reason is "failed"."""
    tokens: tuple[TokenSampled, ...] = field(default=(), compare=False)
    """Tokens that are in no `TextDelta`: the stop token, and all tokens of a tool call."""

    requests: tuple[AnsweredRequest, ...] = field(default=(), compare=False)
    """The requests to the engine that this reply took, for its receipt."""

    @property
    def ended_by_itself(self) -> bool:
        """Whether one of Chatwright's end tokens, of a reply or a tool call, ended the reply."""
        return self.stopped_by in ("end", "end_of_command")


ReplyEvent = (
    TextDelta
    | ThinkingDelta
    | ToolCallDelta
    | ToolCalled
    | ToolReturned
    | Truncated
    | Waiting
    | Finished
)
CompletionEvent = PromptScored | TextDelta | Waiting | Finished
"""Events of the continuation of a text. A prompt is scored before its first `TextDelta`."""
