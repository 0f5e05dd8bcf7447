"""Sample the replies of all clients in one thread, the only one that calls the model.

An open reply has not ended. It waits in this thread's queue, or it is live: the engine has it, and
either samples it or lets it wait for a slot.

All live replies advance together. Each is an iterator of events, and this thread asks
them in turn for their next event. The first reply asked steps the engine, which samples one token
for every reply in a slot; the other replies then have their event ready. So one round costs about
one batched step. A reply that has no token yet yields `Waiting` after one step, so it does not
delay the events of the others, and cancels and deadlines are looked at between two steps.

Another model can be served at any time; a live reply keeps its model until its last token. HTTP
handlers only put replies into a bounded queue and receive their events.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from chatwright.chat.context_window import ConversationTooLong
from chatwright.chat.reply_events import Waiting
from chatwright.engine.messages import (
    EngineFull,
    EngineUnavailable,
    PromptTooLong,
    UserQueueFull,
)
from chatwright.server.errors import ApiError, internal_error
from chatwright.server.metrics import Metrics
from chatwright.server.model_identity import ModelIdentity
from chatwright.server.replies.pending_reply import AnyAssistant, Failed, PendingWork, Served


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on the work that the server accepts."""

    max_live: int = 8
    """Maximum number of replies that the engine has."""
    max_waiting: int = 32
    """Maximum number of replies in this thread's queue; further requests are answered with 503."""
    max_seconds: float = 600.0
    """Maximum time of a reply, from its request to its last token."""
    retry_after: int = 5
    """Seconds after which a refused client should try again."""

    @classmethod
    def of_engine(cls, n_slot: int) -> Limits:
        """Return the limits of a server whose engine lets users take turns.

        Every open reply is live: the engine gets it at once. The engine's scheduler
        (`engine/scheduler.py`) decides which of them are sampled together and which wait.
        """
        return cls(max_live=n_slot + cls.max_waiting, max_waiting=0)

    @property
    def max_open(self) -> int:
        """Maximum number of open replies."""
        return self.max_live + self.max_waiting

    @property
    def max_open_of_user(self) -> int:
        """Maximum number of open replies of one user or key: half of all, so that others fit.

        Requests without a user, on a server without accounts and keys, have no such limit.
        """
        return max(self.max_open // 2, 1)


class EngineThread:
    """Samples the replies of all requests in one thread."""

    def __init__(
        self,
        assistant: AnyAssistant | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the thread, with or without a model. `clock` is replaced in tests."""
        self.limits = limits or Limits()
        self.metrics = Metrics()
        self._served = None if assistant is None else Served(assistant, 1)
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: deque[PendingWork] = deque()
        self._live: list[PendingWork] = []
        self._is_draining = False
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def is_ready(self) -> bool:
        """Whether a model is served."""
        return self._served is not None

    @property
    def served(self) -> Served | None:
        """The served model; None if there is none yet. It may change between two reads."""
        return self._served

    def require_served(self) -> Served:
        """Return the served model; ApiError (503) if there is none yet."""
        served = self._served
        if served is None:
            message = "the model is still being built: try again when it is ready"
            raise self._unavailable(message, "model_not_ready")
        return served

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def is_draining(self) -> bool:
        """Whether the server is stopping and accepts no more replies."""
        return self._is_draining

    @property
    def has_room(self) -> bool:
        """Whether one more reply would be accepted."""
        return not self._is_draining and self.n_open < self.limits.max_open

    @property
    def n_open(self) -> int:
        """Number of open replies."""
        with self._changed:
            return len(self._waiting) + len(self._live)

    def set_assistant(
        self, assistant: AnyAssistant, description: str = "", identity: ModelIdentity | None = None
    ) -> None:
        """Serve another model from now on. Live replies keep the model they began with."""
        with self._changed:
            number = 1 if self._served is None else self._served.number + 1
            self._served = Served(assistant, number, description, identity or ModelIdentity())

    def submit(self, pending_replies: Sequence[PendingWork]) -> None:
        """Queue all of these replies or none.

        Raises ApiError if the queue is full (503), or if too many of its replies are the user's
        own (429).
        """
        with self._changed:
            if self._is_draining:
                raise self._shutting_down()
            if any(pending.needs_served_model for pending in pending_replies):
                self.require_served()
            n_open = len(self._waiting) + len(self._live) + len(pending_replies)
            if n_open > self.limits.max_open:
                message = "too many replies are waiting: try again in a few seconds"
                raise self._unavailable(message, "server_full")
            self._require_share(pending_replies)
            for pending in pending_replies:
                pending.deadline = self._clock() + self.limits.max_seconds
            self._waiting.extend(pending_replies)
            self._changed.notify_all()

    def _require_share(self, pending_replies: Sequence[PendingWork]) -> None:
        users = [pending.user for pending in (*self._waiting, *self._live, *pending_replies)]
        for user in {pending.user for pending in pending_replies} - {""}:
            if users.count(user) > self.limits.max_open_of_user:
                message = (
                    f"one user or key may have {self.limits.max_open_of_user} replies open: "
                    "try again when some of them have ended"
                )
                retry_after = self.limits.retry_after
                raise ApiError(429, message, code="rate_limit_exceeded", retry_after=retry_after)

    def wait_until_idle(self, timeout: float) -> bool:
        """Wait until no reply is open; return False after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._live, timeout)

    def drain(self) -> None:
        """Refuse new and waiting replies with ApiError (503). Live ones continue to their end."""
        with self._changed:
            self._is_draining = True
            self._changed.notify_all()

    def close(self) -> None:
        """Stop after the current step. Open replies end with an error."""
        with self._changed:
            self._is_draining = True
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while self._admit():
            for pending in list(self._waiting) if self._is_draining else ():
                self._end(pending, Failed(self._shutting_down()))
            canceled = [pending for pending in self._waiting if pending.is_canceled]
            for pending in [*self._live, *canceled]:
                self._advance(pending)
        for pending in [*self._live, *self._waiting]:
            self._end(pending, Failed(self._shutting_down()))

    def _shutting_down(self) -> ApiError:
        return self._unavailable("the server is shutting down", "shutting_down")

    def _unavailable(self, message: str, code: str) -> ApiError:
        return ApiError(503, message, code=code, retry_after=self.limits.retry_after)

    def _admit(self) -> bool:
        """Wait for work and move waiting replies to free slots; return False to stop."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closing or self._waiting or self._live)
            while self._has_free_slot and self._waiting:
                self._live.append(self._waiting.popleft())
            return not self._is_closing

    @property
    def _has_free_slot(self) -> bool:
        return not self._is_draining and len(self._live) < self.limits.max_live

    def _advance(self, pending: PendingWork) -> None:
        """Deliver the next event of a reply, or end it."""
        try:
            if pending.is_canceled:
                return self._end(pending)
            if self._clock() > pending.deadline:
                raise self._timeout()
            if pending.events is None:
                pending.events = pending.begin(lambda: self.require_served().assistant)
            event = next(pending.events, None)
            if event is None:
                return self._end(pending)
            if not isinstance(event, Waiting):
                pending.deliver(event)
        except Exception as error:  # one failure must not end the other replies
            self._end(pending, Failed(self._api_error(error, pending.refused_field(error))))

    def _timeout(self) -> ApiError:
        seconds = f"{self.limits.max_seconds:.0f}"
        message = f"the reply took longer than {seconds} seconds: ask for fewer tokens"
        return ApiError(504, message, code="timeout")

    def _api_error(self, error: Exception, param: str | None) -> ApiError:
        """Return the error of the API. `param` is its name for the field that was refused."""
        match error:
            case ApiError():
                return error
            case ConversationTooLong() | PromptTooLong():
                return ApiError(400, str(error), code="context_length_exceeded", param=param)
            case UserQueueFull():
                retry_after = self.limits.retry_after
                return ApiError(
                    429, str(error), code="rate_limit_exceeded", retry_after=retry_after
                )
            case EngineFull():
                return self._unavailable(str(error), "server_full")
            case EngineUnavailable():
                message = "the engine is being started again: try again in a few seconds"
                return self._unavailable(message, "engine_unavailable")
            case ValueError():  # the conversation or a setting; the message says what to change
                return ApiError(400, str(error), code="invalid_value", param=param)
            case _:
                return internal_error(error)

    def _end(self, pending: PendingWork, last: Failed | None = None) -> None:
        """Release the slot of a reply. Deliver `last`, if given, and then None as the end."""
        with self._changed:
            if pending in self._live:
                self._live.remove(pending)
            elif pending in self._waiting:
                self._waiting.remove(pending)
            self._changed.notify_all()
        try:
            if isinstance(pending.events, Generator):
                pending.events.close()  # cancels the request in the engine
        except Exception as error:  # the client must not wait forever
            last = Failed(internal_error(error))
        try:
            if last is not None:
                pending.deliver(last)
            pending.deliver(None)
        except RuntimeError:  # the client's event loop is closed
            pending.cancel()
