"""Work that a client waits for, and the model that does it.

A `PendingWork` is one iterator of events: a reply to a conversation, the continuation of a text, or
vectors of texts. `EngineThread` advances all of them in turn.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from chatwright.chat.reply_events import CompletionEvent, ReplyEvent
from chatwright.chat.reply_form import FREE, ReplyForm
from chatwright.conversation import Conversation
from chatwright.engine.messages import Constraint, SamplingConfig
from chatwright.server.errors import ApiError
from chatwright.server.model_identity import ModelIdentity
from chatwright.tokenizer.tokenizer import Tokenizer


class AnyAssistant(Protocol):
    """The part of `chat.assistant.Assistant` that the server uses."""

    tokenizer: Tokenizer

    @property
    def context_length(self) -> int:
        """Longest text in tokens, prompt and reply together."""
        ...

    def reply(
        self,
        conversation: Conversation,
        sampling: SamplingConfig,
        thinking: bool | None,
        form: ReplyForm,
        *,
        user: str,
    ) -> Iterator[ReplyEvent]:
        """Yield the events of a reply; closing the iterator cancels it."""
        ...

    def continue_ids(
        self,
        token_ids: Sequence[int],
        sampling: SamplingConfig,
        *,
        scores_prompt: bool,
        is_sampled: bool,
        constraint: Constraint | None,
        user: str,
    ) -> Iterator[CompletionEvent]:
        """Yield the events of the continuation of a text; closing the iterator cancels it."""
        ...


@dataclass(frozen=True)
class Served:
    """The model that replies now."""

    assistant: AnyAssistant
    number: int
    """Number of models served so far, this one included."""
    description: str = ""
    """Description for people, for example "step 300 of 900"."""
    identity: ModelIdentity = field(default_factory=ModelIdentity)
    """Which weights these are."""


@dataclass(frozen=True)
class Failed:
    """The last event of work that failed."""

    error: ApiError


Deliver = Callable[[Any], None]
"""Receives the events of the work, perhaps a `Failed`, and None after the last one."""


class PendingWork(ABC):
    """Work that waits for `EngineThread` or is being done by it."""

    param: str | None = None
    """Field of the request that is wrong, if the model refuses it and names no other field."""
    field_names: Mapping[str, str] = MappingProxyType(
        {"max_tokens": "max_tokens", "logit_bias": "logit_bias"}
    )
    """The request's names of the settings that the model may refuse."""
    needs_served_model = True
    """Whether the served model does the work. Vectors of texts come from an encoder instead."""

    def __init__(self, deliver: Deliver, assistant: AnyAssistant | None = None) -> None:
        """Prepare the work.

        Args:
            deliver: Receives the events, called from the engine's thread.
            assistant: The model that replies; None for the one served when the work begins.
        """
        self.deliver = deliver
        self.assistant = assistant
        self.outlives_client = False  # whether it continues when its client goes away
        self.user = ""  # id of the key; users take turns, and share no cached prompts
        # Set by the HTTP handler's thread, read by the engine's thread; a bool needs no lock.
        self.is_canceled = False
        self.events: Iterator[Any] | None = None  # None until the work begins
        self.deadline = 0.0  # seconds of the engine thread's clock

    @abstractmethod
    def begin(self, served: Callable[[], AnyAssistant]) -> Iterator[Any]:
        """Return the iterator of events. Closing it cancels the work.

        `served` returns the assistant that is served now, or raises ApiError.
        """

    def refused_field(self, error: Exception) -> str | None:
        """Return the name of the request's field that an error is about."""
        return self.field_names.get(getattr(error, "field", ""), self.param)

    def cancel(self) -> None:
        """Ask the engine's thread to end the work."""
        self.is_canceled = True


class PendingReply(PendingWork):
    """A reply to a conversation."""

    param = "messages"

    def __init__(
        self,
        conversation: Conversation,
        sampling: SamplingConfig,
        deliver: Deliver,
        assistant: AnyAssistant | None = None,
        thinking: bool | None = None,
        form: ReplyForm = FREE,
    ) -> None:
        """Prepare a reply.

        Args:
            conversation: The messages to answer.
            sampling: The sampling settings.
            deliver: Receives the events, called from the engine's thread.
            assistant: The model that replies; None for the one served when the reply begins.
            thinking: Whether the model thinks before it answers; None is its default.
            form: What the reply may be.
        """
        super().__init__(deliver, assistant)
        self.conversation = conversation
        self.sampling = sampling
        self.thinking = thinking
        self.form = form

    def begin(self, served: Callable[[], AnyAssistant]) -> Iterator[ReplyEvent]:
        """Begin to sample the reply."""
        assistant = self.assistant or served()
        return assistant.reply(
            self.conversation, self.sampling, self.thinking, self.form, user=self.user
        )


class PendingText(PendingWork):
    """The continuation of a text."""

    param = "prompt"

    def __init__(
        self,
        token_ids: Sequence[int],
        sampling: SamplingConfig,
        deliver: Deliver,
        assistant: AnyAssistant | None = None,
        *,
        scores_prompt: bool = False,
        is_sampled: bool = True,
        constraint: Constraint | None = None,
    ) -> None:
        """Prepare a continuation.

        Args:
            token_ids: The prompt.
            sampling: The sampling settings.
            deliver: Receives the events, called from the engine's thread.
            assistant: The model; None for the one served when the continuation begins.
            scores_prompt: Whether the prompt's log-probabilities are computed.
            is_sampled: Whether anything is sampled, or the prompt only read.
            constraint: What the continuation may be; None for any text.
        """
        super().__init__(deliver, assistant)
        self.token_ids = token_ids
        self.sampling = sampling
        self.scores_prompt = scores_prompt
        self.is_sampled = is_sampled
        self.constraint = constraint

    def begin(self, served: Callable[[], AnyAssistant]) -> Iterator[CompletionEvent]:
        """Begin to sample the continuation."""
        assistant = self.assistant or served()
        return assistant.continue_ids(
            self.token_ids,
            self.sampling,
            scores_prompt=self.scores_prompt,
            is_sampled=self.is_sampled,
            constraint=self.constraint,
            user=self.user,
        )
