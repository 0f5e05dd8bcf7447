"""The body of POST /v1/feedback, and the feedback that it states."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from chatwright.conversation import Message
from chatwright.data.preferences import Correction, Feedback, Ranking, RatedReply, Thumb
from chatwright.server.errors import ApiError
from chatwright.server.feedback.reply_memory import RememberedReply, ReplyMemory
from chatwright.server.request_body.request_parser import ShortText, Strict, Text

MAX_REPLIES = 16


class ReplyName(Strict):
    """Names one reply of this server."""

    reply: ShortText
    """The id of a response."""
    index: Annotated[int, Field(ge=0, le=127)] = 0
    """Which choice of the response."""


class ThumbRequest(ReplyName):
    """A reply was good, or not."""

    kind: Literal["thumb"]
    is_up: bool
    reason: ShortText = ""
    rater: ShortText = ""


class CorrectionRequest(ReplyName):
    """A better reply, written by the rater."""

    kind: Literal["correction"]
    better: Text
    reason: ShortText = ""
    rater: ShortText = ""


class RankingRequest(Strict):
    """The order of several replies to one prompt."""

    kind: Literal["ranking"]
    replies: Annotated[list[ReplyName], Field(min_length=2, max_length=MAX_REPLIES)]
    ranks: Annotated[list[Annotated[int, Field(ge=1, le=MAX_REPLIES)]], Field(max_length=16)]
    """1 is the best; equal ranks are a tie."""
    are_all_bad: bool = False
    reason: ShortText = ""
    rater: ShortText = ""


FeedbackRequest = Annotated[
    ThumbRequest | CorrectionRequest | RankingRequest, Field(discriminator="kind")
]


def to_feedback(
    request: ThumbRequest | CorrectionRequest | RankingRequest, memory: ReplyMemory, user: str
) -> Feedback:
    """Return the feedback that a request states; ApiError if it names an unknown reply."""
    rater = request.rater or user or "api"
    time = datetime.now(UTC)
    if isinstance(request, RankingRequest):
        found = [_find(name, memory, user) for name in request.replies]
        prompts = {reply.prompt for reply, _ in found}
        if len(prompts) > 1:
            message = "the replies answer different prompts, so they cannot be ranked"
            raise ApiError(400, message, code="invalid_value", param="replies")
        if len(request.ranks) != len(found):
            message = f"{len(request.ranks)} ranks do not fit {len(found)} replies"
            raise ApiError(400, message, code="invalid_value", param="ranks")
        return Ranking(
            prompt=prompts.pop(),
            rater=rater,
            time=time,
            reason=request.reason,
            replies=tuple(_rated(*item) for item in found),
            ranks=tuple(request.ranks),
            are_all_bad=request.are_all_bad,
        )
    remembered, reply = _find(request, memory, user)
    rated = _rated(remembered, reply)
    if isinstance(request, ThumbRequest):
        return Thumb(
            prompt=remembered.prompt,
            rater=rater,
            time=time,
            reason=request.reason,
            reply=rated,
            is_up=request.is_up,
        )
    return Correction(
        prompt=remembered.prompt,
        rater=rater,
        time=time,
        reason=request.reason,
        reply=rated,
        better=Message("assistant", request.better),
    )


def _find(name: ReplyName, memory: ReplyMemory, user: str) -> tuple[RememberedReply, Message]:
    remembered = memory.get(name.reply, user)
    if remembered is None or name.index >= len(remembered.messages):
        message = (
            "this server does not remember the reply: only the newest replies since its start "
            "can be rated, by the user or key that asked for them"
        )
        raise ApiError(404, message, code="reply_not_found", param="reply")
    return remembered, remembered.messages[name.index]


def _rated(remembered: RememberedReply, message: Message) -> RatedReply:
    return RatedReply(message, remembered.weights)
