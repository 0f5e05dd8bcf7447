"""The one thread that owns the model: a bounded queue of asked-for replies in, their events out.

All live replies advance together. Each is an iterator from `Assistant.reply`; this thread asks them in turn for their next
event. The first one asked steps the engine, which decodes one token for every live reply, and the others then find theirs
waiting: so a turn around the table costs about one batched step. Closing an iterator cancels its reply in the engine.

A better model may be put in place at any time. A reply is made by one model from its first token to its last.

HTTP handlers only queue and listen; they never touch the model. It is a thread and not yet a process: an error that kills
the interpreter (out of memory) takes the server along.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from chatwright.chat.context_window import ConversationTooLong
from chatwright.chat.reply_events import ReplyEvent
from chatwright.conversation import Conversation
from chatwright.engine.engine import EngineFull
from chatwright.engine.sampling import SamplingConfig
from chatwright.server.errors import ApiError, internal_error
from chatwright.tokenizer.tokenizer import Tokenizer


class Replier(Protocol):
    """The part of `chat/assistant.py` that serving needs."""

    tokenizer: Tokenizer

    def reply(
        self, conversation: Conversation, sampling: SamplingConfig
    ) -> Iterator[ReplyEvent]: ...


@dataclass(frozen=True, kw_only=True)
class Limits:
    max_live: int = 8  # replies decoded together
    max_waiting: int = 32  # replies that may wait for a place; beyond this the server says 503
    max_seconds: float = 600.0  # from arrival to the last token
    retry_after: int = 5  # seconds a refused client is asked to wait


@dataclass(frozen=True)
class Failed:
    """The last event of a reply that did not end well."""

    error: ApiError


@dataclass(frozen=True)
class Served:
    """The model that answers now. `number` counts those put in place; `description` says in words which this one is."""

    assistant: Replier
    number: int
    description: str = ""


Deliver = Callable[[ReplyEvent | Failed | None], None]  # None: nothing follows


class PendingReply:
    """One asked-for reply. Everything it owns is released in one place, `EngineThread._end`.

    `assistant` makes it; None is the one in place when its turn comes.
    """

    def __init__(
        self,
        conversation: Conversation,
        sampling: SamplingConfig,
        deliver: Deliver,
        assistant: Replier | None = None,
    ) -> None:
        self.conversation, self.sampling, self.deliver, self.assistant = (
            conversation,
            sampling,
            deliver,
            assistant,
        )
        self.is_cancelled = (
            False  # written by the handler's thread, read by the engine's: one word, no lock needed
        )
        self.events: Iterator[ReplyEvent] | None = None
        self.deadline = 0.0

    def cancel(self) -> None:
        self.is_cancelled = True


class EngineThread:
    def __init__(
        self,
        assistant: Replier | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits or Limits()
        self._served = None if assistant is None else Served(assistant, 1)
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: deque[PendingReply] = deque()
        self._live: list[PendingReply] = []
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def is_ready(self) -> bool:
        return self._served is not None

    @property
    def served(self) -> Served | None:
        """What answers now, as one value: read it once where its parts must belong together."""
        return self._served

    def require_served(self) -> Served:
        served = self._served
        if served is None:
            raise self._busy(
                "the model is still being built: try again when it is ready", "model_not_ready"
            )
        return served

    @property
    def n_open(self) -> int:
        """Replies that are waiting or being written; 0 when idle, whatever happened before."""
        with self._changed:
            return len(self._waiting) + len(self._live)

    def set_assistant(self, assistant: Replier, description: str = "") -> None:
        """A model to answer with from now on. Replies under way end with the model they began with."""
        with self._changed:
            self._served = Served(
                assistant, 1 if self._served is None else self._served.number + 1, description
            )

    def submit(self, pending_replies: Sequence[PendingReply]) -> None:
        """Queue all of them or none."""
        with self._changed:
            if self._is_closing:
                raise self._busy("the server is shutting down", "shutting_down")
            self.require_served()
            if (
                len(self._waiting) + len(self._live) + len(pending_replies)
                > self.limits.max_live + self.limits.max_waiting
            ):
                raise self._busy(
                    "too many replies are waiting already: try again shortly", "server_full"
                )
            for pending in pending_replies:
                pending.deadline = self._clock() + self.limits.max_seconds
            self._waiting.extend(pending_replies)
            self._changed.notify_all()

    def wait_until_idle(self, timeout: float) -> bool:
        """True as soon as no reply is open; False where that takes longer than the timeout."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._live, timeout)

    def close(self) -> None:
        """Stop after the current step; every open reply ends as cancelled."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while self._admit():
            for pending in [
                *self._live,
                *(pending for pending in self._waiting if pending.is_cancelled),
            ]:
                self._advance(pending)
        for pending in [*self._live, *self._waiting]:
            self._end(pending, Failed(self._busy("the server is shutting down", "shutting_down")))

    def _busy(self, message: str, code: str) -> ApiError:
        return ApiError(503, message, code=code, retry_after=self.limits.retry_after)

    def _admit(self) -> bool:
        """Wait for work, move waiting replies to free places; False when it is time to stop."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closing or self._waiting or self._live)
            while self._waiting and len(self._live) < self.limits.max_live:
                self._live.append(self._waiting.popleft())
            return not self._is_closing

    def _advance(self, pending: PendingReply) -> None:
        try:
            if pending.is_cancelled:
                return self._end(pending)
            if self._clock() > pending.deadline:
                message = f"the reply took longer than {self.limits.max_seconds:.0f} seconds: ask for fewer tokens"
                return self._end(pending, Failed(ApiError(504, message, code="timeout")))
            if pending.events is None:
                assistant = pending.assistant or self.require_served().assistant
                pending.events = assistant.reply(pending.conversation, pending.sampling)
            event = next(pending.events, None)
            if event is None:
                return self._end(pending)
            pending.deliver(event)
        except ConversationTooLong as error:
            self._end(
                pending,
                Failed(ApiError(400, str(error), code="context_length_exceeded", param="messages")),
            )
        except EngineFull as error:
            self._end(pending, Failed(self._busy(str(error), "server_full")))
        except (
            ValueError
        ) as error:  # the conversation or a setting cannot be served; the message says why
            self._end(pending, Failed(ApiError(400, str(error), code="invalid_value")))
        except Exception as error:  # one reply's trouble must not end the others'
            self._end(pending, Failed(internal_error(error)))

    def _end(self, pending: PendingReply, last: Failed | None = None) -> None:
        """Every way a reply can end comes through here: release the engine's place, tell the listener, forget the ticket."""
        with self._changed:
            if pending in self._live:
                self._live.remove(pending)
            elif pending in self._waiting:
                self._waiting.remove(pending)
            self._changed.notify_all()
        try:
            if isinstance(pending.events, Generator):
                pending.events.close()  # cancels the request in the engine
        except Exception as error:  # a bug in closing must not leave the listener waiting
            last = Failed(internal_error(error))
        try:
            if last is not None:
                pending.deliver(last)
            pending.deliver(None)
        except RuntimeError:  # the listener's event loop is closed: nobody is waiting
            pending.cancel()
