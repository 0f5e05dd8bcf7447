"""Write the engine's reply into a pending answer: a stored assistant message without text yet.

The page names the answer in the header `X-Chatwright-Answer` of its request. The engine's thread
hands over the events; after the last one a thread writes the answer, and only then does the
response end. Such a reply continues when its client goes away, so a page that is closed or loaded
again loses nothing. The reply is stopped if the page writes the answer itself before it ends.
The receipt of an answer says how it was made: seed, weights, times, tools.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from chatwright.chat.reply_events import (
    Finished,
    TextDelta,
    ThinkingDelta,
    ToolReturned,
    Truncated,
)
from chatwright.conversation import Message, assistant_message
from chatwright.errors import InputError
from chatwright.server.access.accounts import Accounts
from chatwright.server.errors import ApiError
from chatwright.server.model_identity import ModelIdentity
from chatwright.server.replies.pending_reply import Deliver, Failed, PendingWork, Served
from chatwright.server.replies.reply_receipt import receipt_of
from chatwright.store.errors import Conflict, NotFound
from chatwright.store.messages import Answer, Origin, State, StoredMessage, TokenCounts
from chatwright.tokenizer.tool_call_text import write_tool_call

log = logging.getLogger("chatwright.server")

HEADER = "x-chatwright-answer"
COMPLETE_REASONS = ("stop", "length", "tool_call")
MAX_TOKEN_IDS = 2000
"""Most sampled tokens whose ids are kept in the receipt."""
LONG_FIELDS = ("token_ids", "tools")
"""Fields that a receipt loses first if it is too long for the store."""


class AnswerRecorder:
    """Collects the events of one reply and completes its answer in the store."""

    def __init__(
        self, accounts: Accounts, user_id: str, pending: StoredMessage, model: str
    ) -> None:
        """Prepare to complete a pending answer of this user."""
        self._accounts = accounts
        self._user_id = user_id
        self._answer_id = pending.id
        self._receipt = dict(pending.receipt or {})
        self._model = model
        self._identity = ModelIdentity()
        self._began = time.monotonic()
        self._text = ""
        self._thinking = ""
        self._n_message_cut = 0
        self._finished: Finished | None = None
        self._has_failed = False
        self._work: PendingWork | None = None
        accounts.running[self._answer_id] = self

    def set_served(self, served: Served, seed: int) -> None:
        """Note which model replies with which seed, before the reply begins."""
        self._identity = served.identity
        self._receipt |= {
            "seed": seed,
            "description": served.description,
            "fingerprint": served.identity.fingerprint,
        }

    def follow(self, work: PendingWork) -> None:
        """Record the events of a reply, which from now on continues without its client."""
        work.deliver = self._tap(work.deliver)
        work.outlives_client = True
        self._work = work

    def message(self) -> Message:
        """Return the reply as far as it is written."""
        return assistant_message(self._thinking, self._text)

    def stop(self) -> None:
        """End the reply, because its answer was completed otherwise."""
        self._accounts.running.pop(self._answer_id, None)
        if self._work is not None:
            self._work.cancel()

    def give_up(self) -> None:
        """Complete the answer as failed, because its reply could not begin."""
        self._has_failed = True
        self._accounts.write_later(self._complete)

    def _tap(self, deliver: Deliver) -> Deliver:
        """Return a function that records each event and passes it on; the end after the write."""

        def complete_and_deliver() -> None:
            try:
                self._complete()
            finally:
                deliver(None)

        def record_and_deliver(event: Any) -> None:
            self._record(event)
            if event is None:
                self._accounts.write_later(complete_and_deliver)
            else:
                deliver(event)

        return record_and_deliver

    def _record(self, event: Any) -> None:
        if isinstance(event, TextDelta | ThinkingDelta):
            self._receipt.setdefault("seconds_to_first", self._seconds())
        match event:
            case TextDelta():
                self._text += event.text
            case ThinkingDelta():
                self._thinking += event.text
            case ToolReturned():
                tool = {"command": write_tool_call(event.call), "result": event.result.content}
                self._receipt.setdefault("tools", []).append(tool)
            case Truncated():
                self._n_message_cut = event.n_cut
                self._receipt["truncated"] = {"n_cut": event.n_cut, "message": str(event)}
            case Finished():
                self._finished = event
            case Failed():
                self._has_failed = True

    def _seconds(self) -> float:
        return round(time.monotonic() - self._began, 3)

    def _complete(self) -> None:
        """Write the answer. It may be gone by now, or completed by the page."""
        answer = self._answer()
        receipt = answer.receipt or {}
        short = {name: value for name, value in receipt.items() if name not in LONG_FIELDS}
        try:
            for kept in (answer.receipt, short, None):
                try:
                    return self._write(replace(answer, receipt=kept))
                except InputError:  # the receipt is too long, and the reply matters more
                    continue
        except (Conflict, NotFound):
            log.debug("an answer was completed or deleted before its reply ended")
        finally:
            self._accounts.running.pop(self._answer_id, None)

    def _write(self, answer: Answer) -> None:
        messages = self._accounts.store.messages
        origin = Origin(self._model, self._identity.feedback_weights)
        messages.complete(self._user_id, self._answer_id, answer, origin=origin)

    def _answer(self) -> Answer:
        finished = self._finished
        if finished is None or finished.reason not in COMPLETE_REASONS:
            state: State = "failed" if self._has_failed or finished is not None else "partial"
            return Answer(self.message(), state, receipt=self._receipt or None)
        usage = finished.usage
        receipt = receipt_of(self._identity, finished, self._seconds(), self._n_message_cut)
        own = receipt.to_json(is_full=False)
        # With tools there are several requests, and the tools' results between their tokens.
        if len(finished.requests) == 1 and len(finished.requests[0].token_ids) <= MAX_TOKEN_IDS:
            own["token_ids"] = list(finished.requests[0].token_ids)
        return Answer(
            finished.message,
            "complete",
            TokenCounts(usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens),
            {**self._receipt, **own},
        )


async def recorder_of(request: Request, model: str, n_reply: int) -> AnswerRecorder | None:
    """Return the recorder that the request's header asks for; None without the header.

    Raises ApiError: there is no store or no such answer (404), it is not pending (409), or the
    request asks for several replies (400).
    """
    answer_id = request.headers.get(HEADER, "")
    if not answer_id:
        return None
    if n_reply != 1:
        message = f"{HEADER} names one answer, and the request asks for {n_reply} replies"
        raise ApiError(400, message, code="invalid_value", param="n")
    accounts: Accounts | None = request.app.state.accounts
    if accounts is None:
        message = "this server has no store: it keeps no conversations"
        raise ApiError(404, message, code="no_store")
    user_id, pending = await run_in_threadpool(_pending_of, accounts, request, answer_id)
    return AnswerRecorder(accounts, user_id, pending, model)


def _pending_of(accounts: Accounts, request: Request, answer_id: str) -> tuple[str, StoredMessage]:
    """Return the pending answer, and the id of the user to whom it belongs."""
    found = accounts.find(request)
    try:
        if found is None:
            raise NotFound("message", answer_id)
        answer = accounts.store.messages.get(found.user.id, answer_id)
    except NotFound:
        raise ApiError(404, "there is no such message", code="not_found") from None
    if answer.state != "pending" or answer_id in accounts.running:
        raise ApiError(409, "this message is not a pending answer", code="not_pending")
    return found.user.id, answer
