"""A reply that a client waits for, and the model that makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from chatwright.chat.reply_events import ReplyEvent
from chatwright.conversation import Conversation
from chatwright.engine.sampling import SamplingConfig
from chatwright.server.errors import ApiError
from chatwright.server.model_identity import ModelIdentity
from chatwright.tokenizer.tokenizer import Tokenizer


class Replier(Protocol):
    """The part of `chat.assistant.Assistant` that the server uses."""

    tokenizer: Tokenizer

    @property
    def context_length(self) -> int:
        """Longest text in tokens, prompt and reply together."""
        ...

    def reply(
        self, conversation: Conversation, sampling: SamplingConfig, thinking: bool | None
    ) -> Iterator[ReplyEvent]:
        """Yield the events of a reply; closing the iterator cancels it."""
        ...


@dataclass(frozen=True)
class Served:
    """The model that replies now."""

    assistant: Replier
    number: int
    """Number of models served so far, this one included."""
    description: str = ""
    """Description for people, for example "step 300 of 900"."""
    identity: ModelIdentity = field(default_factory=ModelIdentity)
    """Which weights these are."""


@dataclass(frozen=True)
class Failed:
    """The last event of a reply that failed."""

    error: ApiError


Deliver = Callable[[ReplyEvent | Failed | None], None]
"""Receives the events of a reply, and None after the last one."""


class PendingReply:
    """A reply that waits to be sampled or is being sampled by `EngineThread`."""

    def __init__(
        self,
        conversation: Conversation,
        sampling: SamplingConfig,
        deliver: Deliver,
        assistant: Replier | None = None,
        thinking: bool | None = None,
    ) -> None:
        """Prepare a reply.

        Args:
            conversation: The messages to answer.
            sampling: The sampling settings.
            deliver: Receives the events, called from the engine's thread.
            assistant: The model that replies; None for the one served when the reply begins.
            thinking: Whether the model thinks before it answers; None is its default.
        """
        self.conversation = conversation
        self.sampling = sampling
        self.deliver = deliver
        self.assistant = assistant
        self.thinking = thinking
        # Set by the HTTP handler's thread, read by the engine's thread; a bool needs no lock.
        self.is_canceled = False
        self.events: Iterator[ReplyEvent] | None = None  # None until sampling begins
        self.deadline = 0.0  # seconds of the engine thread's clock

    def cancel(self) -> None:
        """Ask the engine's thread to end the reply."""
        self.is_canceled = True
