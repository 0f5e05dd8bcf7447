"""A reply that a client waits for, and the model that makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from chatwright.chat.reply_events import ReplyEvent
from chatwright.conversation import Conversation
from chatwright.engine.sampling import SamplingConfig
from chatwright.server.errors import ApiError
from chatwright.tokenizer.tokenizer import Tokenizer


class Replier(Protocol):
    """The part of `chat.assistant.Assistant` that the server uses."""

    tokenizer: Tokenizer

    def reply(self, conversation: Conversation, sampling: SamplingConfig) -> Iterator[ReplyEvent]:
        """Yield the events of a reply; closing the iterator cancels it."""
        ...


@dataclass(frozen=True)
class Served:
    """The model that replies now."""

    assistant: Replier
    number: int
    """Counts the models served so far, this one included."""
    description: str = ""
    """Which model this is, for people."""


@dataclass(frozen=True)
class Failed:
    """The last event of a reply that failed."""

    error: ApiError


Deliver = Callable[[ReplyEvent | Failed | None], None]
"""Takes the events of a reply; None ends them."""


class PendingReply:
    """A reply that waits or is being sampled. `EngineThread` releases what it holds."""

    def __init__(
        self,
        conversation: Conversation,
        sampling: SamplingConfig,
        deliver: Deliver,
        assistant: Replier | None = None,
    ) -> None:
        """Prepare a reply.

        Args:
            conversation: The messages to answer.
            sampling: The sampling settings.
            deliver: Receives the events, called from the engine's thread.
            assistant: The model that replies; None for the one served when the reply begins.
        """
        self.conversation = conversation
        self.sampling = sampling
        self.deliver = deliver
        self.assistant = assistant
        # Written by the handler's thread and read by the engine's; assigning a bool needs no lock.
        self.is_canceled = False
        self.events: Iterator[ReplyEvent] | None = None
        self.deadline = 0.0

    def cancel(self) -> None:
        """Ask the engine's thread to end the reply."""
        self.is_canceled = True
