"""Complete a pending answer of the store with the reply that the engine gives.

The page names the answer in the header `X-Chatwright-Answer` of its request. The engine's thread
hands over the events; when the last one has come, a thread writes the answer. So an answer is kept
whole, or up to the place where the client went away, whatever happens to the page.
"""

from __future__ import annotations

import time
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from chatwright.chat.reply_events import Finished, TextDelta, ThinkingDelta, Truncated
from chatwright.conversation import assistant_message
from chatwright.server.access.accounts import Accounts
from chatwright.server.errors import ApiError
from chatwright.server.model_identity import ModelIdentity
from chatwright.server.replies.pending_reply import Deliver, Failed
from chatwright.server.replies.reply_receipt import receipt_of
from chatwright.store.errors import NotFound
from chatwright.store.messages import Answer, Origin, State, TokenCounts

HEADER = "x-chatwright-answer"
COMPLETE_REASONS = ("stop", "length", "tool_call")


class AnswerRecorder:
    """Collects the events of one reply and completes its answer in the store."""

    def __init__(self, accounts: Accounts, user_id: str, answer_id: str, model: str) -> None:
        """Prepare to complete a pending answer of this user."""
        self.identity = ModelIdentity()
        """Which weights reply; set before the reply begins."""
        self._accounts = accounts
        self._user_id = user_id
        self._answer_id = answer_id
        self._model = model
        self._began = time.monotonic()
        self._text = ""
        self._thinking = ""
        self._n_cut = 0
        self._finished: Finished | None = None
        self._has_failed = False

    def tap(self, deliver: Deliver) -> Deliver:
        """Return a function that records each event and passes it on."""

        def record_and_deliver(event: Any) -> None:
            self._record(event)
            if event is None:
                self._accounts.write_later(self._complete)
            deliver(event)

        return record_and_deliver

    def _record(self, event: Any) -> None:
        match event:
            case TextDelta():
                self._text += event.text
            case ThinkingDelta():
                self._thinking += event.text
            case Truncated():
                self._n_cut = event.n_cut
            case Finished():
                self._finished = event
            case Failed():
                self._has_failed = True

    def _complete(self) -> None:
        """Write the answer. It may be gone by now, or completed by the page."""
        messages = self._accounts.store.messages
        origin = Origin(self._model, self.identity.feedback_weights)
        messages.complete(self._user_id, self._answer_id, self._answer(), origin=origin)

    def _answer(self) -> Answer:
        finished = self._finished
        if finished is None or finished.reason not in COMPLETE_REASONS:
            state: State = "failed" if self._has_failed or finished is not None else "partial"
            return Answer(assistant_message(self._thinking, self._text), state)
        usage = finished.usage
        receipt = receipt_of(self.identity, finished, time.monotonic() - self._began, self._n_cut)
        return Answer(
            finished.message,
            "complete",
            TokenCounts(usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens),
            {"seed": finished.seed, **receipt.to_json(False)},
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
    user_id = await run_in_threadpool(_pending_of, accounts, request, answer_id)
    return AnswerRecorder(accounts, user_id, answer_id, model)


def _pending_of(accounts: Accounts, request: Request, answer_id: str) -> str:
    """Return the id of the user to whom the pending answer belongs."""
    found = accounts.find(request)
    try:
        if found is None:
            raise NotFound("message", answer_id)
        answer = accounts.store.messages.get(found.user.id, answer_id)
    except NotFound:
        raise ApiError(404, "there is no such message", code="not_found") from None
    if answer.state != "pending":
        raise ApiError(409, "this message is not a pending answer", code="not_pending")
    return found.user.id
