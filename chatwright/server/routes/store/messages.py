"""/api/conversations/{id}/messages: the tree of turns, and the answers that complete it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import FastAPI, Header
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from chatwright.server.request_body.request_parser import ShortText, Strict
from chatwright.server.routes.store.store_route import (
    add_route,
    body_of,
    json_response,
    needs_user,
    store_of,
    user_of,
)
from chatwright.server.service import Service
from chatwright.store.conversation_json import message_to_json
from chatwright.store.idempotency import Retry, retry_of
from chatwright.store.message_json import message_from_json, parts_to_json
from chatwright.store.messages import Answer, Origin, TokenCounts

MESSAGES = "/api/conversations/{id}/messages"
MAX_PARTS = 100
MAX_COUNT = 2**31 - 1
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Parts = Annotated[list[Any], Field(max_length=MAX_PARTS)]
Key = Annotated[str | None, Header(alias="Idempotency-Key")]


class NewAnswer(Strict):
    """A pending answer to the message that is added with it."""

    model: ShortText = ""
    receipt: dict[str, Any] | None = None


class NewMessage(Strict):
    """A message of the user, and whether an answer follows."""

    parent: ShortText | None = None
    role: Literal["user", "system"]
    parts: Parts
    answer: NewAnswer | None = None


class OtherAnswer(Strict):
    """A pending answer to a message that exists."""

    parent: ShortText
    model: ShortText = ""
    receipt: dict[str, Any] | None = None


class Tokens(Strict):
    """Numbers of tokens."""

    prompt: Count
    cached: Count
    reply: Count


class CompletedAnswer(Strict):
    """The end of an answer."""

    state: Literal["complete", "partial", "failed"]
    parts: Parts
    tokens: Tokens | None = None
    receipt: dict[str, Any] | None = None


def add(app: FastAPI, service: Service) -> None:
    """Add the routes."""
    users = needs_user()

    def origin(model: str) -> Origin:
        """Return which model writes an answer now."""
        served = service.engine.served
        weights = "" if served is None else served.identity.feedback_weights
        return Origin(model or service.model_name, weights)

    def add_message(
        request: Request, id: str, body: NewMessage = body_of(NewMessage), key: Key = None
    ) -> Response:
        """Add a message and the pending answer to it."""
        message, answer = store_of(request).messages.add(
            user_of(request).id,
            id,
            body.parent,
            message_from_json(body.role, body.parts),
            answer_by=None if body.answer is None else origin(body.answer.model),
            receipt=None if body.answer is None else body.answer.receipt,
            retry=_retry(key, request, body),
        )
        pending = None if answer is None else message_to_json(answer)
        return json_response({"message": message_to_json(message), "answer": pending}, 201)

    def add_answer(
        request: Request, id: str, body: OtherAnswer = body_of(OtherAnswer), key: Key = None
    ) -> Response:
        """Add a pending answer to a message that exists."""
        user_id, retry = user_of(request).id, _retry(key, request, body)
        messages = store_of(request).messages
        answer = messages.add_answer(
            user_id, id, body.parent, origin(body.model), receipt=body.receipt, retry=retry
        )
        return json_response(message_to_json(answer), 201)

    add_route(app, "GET", MESSAGES, read, users)
    add_route(app, "POST", MESSAGES, add_message, users)
    add_route(app, "POST", "/api/conversations/{id}/answers", add_answer, users)
    add_route(app, "PATCH", f"{MESSAGES}/{{message}}", complete, users)


def read(request: Request, id: str) -> Response:
    """Return all messages, parents first; of an answer that is being written, what there is."""
    store, user = store_of(request), user_of(request)
    running = request.app.state.accounts.running
    shown = store.conversations.get(user.id, id).shown
    messages = []
    for stored in store.messages.tree(user.id, id):
        values = message_to_json(stored)
        if stored.state == "pending" and (answer := running.get(stored.id)) is not None:
            values |= {"is_running": True, "parts": parts_to_json(answer.message().parts)}
        messages.append(values)
    return json_response({"messages": messages, "shown": shown})


def complete(
    request: Request, id: str, message: str, body: CompletedAnswer = body_of(CompletedAnswer)
) -> Response:
    """Complete a pending answer; the reply that would complete it is stopped."""
    tokens = body.tokens
    counts = None if tokens is None else TokenCounts(tokens.prompt, tokens.cached, tokens.reply)
    parts = message_from_json("assistant", body.parts)
    answer = Answer(parts, body.state, counts, body.receipt)
    stored = store_of(request).messages.complete(user_of(request).id, message, answer, id)
    running = request.app.state.accounts.running.get(message)
    if running is not None:
        running.stop()
    return json_response(message_to_json(stored))


def _retry(key: str | None, request: Request, body: Strict) -> Retry | None:
    """Return the record of a request with a key of the client."""
    return None if key is None else retry_of(key, [request.url.path, body.model_dump()])
