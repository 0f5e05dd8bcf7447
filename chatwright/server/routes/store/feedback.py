"""/api/feedback: thumbs, corrections and rankings of answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from chatwright.conversation import Message
from chatwright.errors import InputError
from chatwright.server.request_body.request_parser import ShortText, Strict, Text
from chatwright.server.routes.store.store_route import (
    NO_CONTENT,
    add_route,
    body_of,
    json_response,
    needs_user,
    store_of,
    user_of,
)
from chatwright.store.feedback import MAX_RANKED, MAX_REASON, Opinion, StoredFeedback

Rank = Annotated[int, Field(ge=1, le=MAX_RANKED)]


class NewFeedback(Strict):
    """An opinion on an answer, or on several for a ranking."""

    kind: Literal["thumb", "correction", "ranking"]
    message: ShortText | None = None
    messages: Annotated[list[ShortText], Field(max_length=MAX_RANKED)] | None = None
    is_up: bool | None = None
    better: Text | None = None
    ranks: Annotated[list[Rank], Field(max_length=MAX_RANKED)] = Field(default_factory=list)
    are_all_bad: bool = False
    reason: Annotated[str, Field(max_length=MAX_REASON)] = ""

    def opinion(self) -> Opinion:
        """Return it as the store keeps it. Raises InputError."""
        if (self.message is None) == (self.messages is None):
            raise InputError(
                "Feedback names one message, or the messages of a ranking.",
                remedy="Send message or messages.",
                field="message",
            )
        single = () if self.message is None else (self.message,)
        return Opinion(
            kind=self.kind,
            messages=tuple(self.messages or ()) or single,
            is_up=self.is_up,
            ranks=tuple(self.ranks),
            are_all_bad=self.are_all_bad,
            better=None if self.better is None else Message("assistant", self.better),
            reason=self.reason,
        )


def add(app: FastAPI) -> None:
    """Add the routes. What learners write is not for training, so they cannot rate."""
    raters = needs_user("admin", "member", "rater")
    add_route(app, "POST", "/api/feedback", give, raters)
    add_route(app, "GET", "/api/feedback", read, raters)
    add_route(app, "DELETE", "/api/feedback/{id}", delete, raters)


def give(request: Request, body: NewFeedback = body_of(NewFeedback)) -> Response:
    """Store feedback; a thumb is a vote on a canary, too."""
    given = store_of(request).feedback.give(user_of(request).id, body.opinion())
    collector = request.app.state.service.feedback
    if collector is not None and body.is_up is not None:
        collector.count_stored(given.opinion.messages[0], given.weights[0], body.is_up)
    return json_response({"id": given.id}, 201)


def read(request: Request, conversation: Annotated[str, Query(max_length=100)] = "") -> Response:
    """Return the user's feedback in a conversation."""
    found = store_of(request).feedback.of_conversation(user_of(request).id, conversation)
    return json_response({"feedback": [_to_json(item) for item in found]})


def delete(request: Request, id: str) -> Response:
    """Take feedback back."""
    store_of(request).feedback.delete(user_of(request).id, id)
    return Response(status_code=NO_CONTENT)


def _to_json(given: StoredFeedback) -> dict[str, Any]:
    opinion = given.opinion
    values: dict[str, Any] = {
        "id": given.id,
        "kind": opinion.kind,
        "created": given.created,
        "reason": opinion.reason,
    }
    if opinion.kind == "ranking":
        return {
            **values,
            "messages": list(opinion.messages),
            "ranks": list(opinion.ranks),
            "are_all_bad": opinion.are_all_bad,
        }
    values["message"] = opinion.messages[0]
    if opinion.better is not None:
        return {**values, "better": opinion.better.text}
    return {**values, "is_up": opinion.is_up}
