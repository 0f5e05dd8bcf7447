"""Answer a request with the blocks of one reply: as JSON, or as named server-sent events.

A stream of /v1/messages or /v1/responses is a sequence of events with names. If the reply fails,
the request fails: with an HTTP error before the first event, later with an event of the API.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from chatwright.chat.reply_events import Finished, ThinkingDelta, Truncated, Usage
from chatwright.server.completions_api.completion import Completion
from chatwright.server.errors import ApiError
from chatwright.server.replies.reply_blocks import Block, BlockEvent, ReplyBlocks
from chatwright.server.replies.response_stream import EventStream, Replies, unless_disconnected

ApiEvent = dict[str, Any]
"""An event of an API; its field `type` is its name."""


@dataclass
class BlockReply:
    """One reply, as far as it has been read."""

    id: str
    """The id that the client knows, also for feedback."""
    completion: Completion
    allows_cut: bool
    """Whether the oldest messages may be left out if the conversation is too long."""
    reader: ReplyBlocks = field(default_factory=ReplyBlocks)
    usage: Usage = field(default_factory=lambda: Usage(0, 0))
    n_thinking: int = 0
    """Number of tokens of thinking."""
    stopped_by: str = ""
    """The stop text or control token that ended the reply."""

    def __post_init__(self) -> None:
        self.completion.id = self.id

    @property
    def blocks(self) -> list[Block]:
        """The blocks so far."""
        return self.reader.blocks

    @property
    def notes(self) -> dict[str, Any]:
        """Our own field of the response, `chatwright`."""
        receipts = [choice.receipt for choice in self.completion.choices if choice.receipt]
        return {**self.completion.notes, **({"receipts": receipts} if receipts else {})}

    def read(self, index: int, event: Any) -> Iterator[BlockEvent]:
        """Store an event of the reply and yield what it changes.

        Raises ApiError (400) if messages were left out and this is not allowed.
        """
        match event:
            case Truncated() if not self.allows_cut:
                message = (
                    f"the conversation does not fit into the model's {event.context_length} "
                    "tokens: shorten it"
                )
                raise ApiError(400, message, code="context_length_exceeded")
            case ThinkingDelta():
                self.n_thinking += len(event.tokens)
            case Finished():
                self.usage, self.stopped_by = event.usage, event.stopped_by
        for chunk in self.completion.chunks(index, event):
            yield from self.reader.read(chunk)


class BlockApi(Protocol):
    """How an API writes a reply."""

    def opening(self) -> Iterator[ApiEvent]:
        """Yield the events before the first block."""
        ...

    def block(self, event: BlockEvent) -> Iterator[ApiEvent]:
        """Yield the events of a change of a block."""
        ...

    def closing(self) -> Iterator[ApiEvent]:
        """Yield the events after the last block."""
        ...

    def failure(self, error: ApiError) -> ApiEvent:
        """Return the last event of a stream that fails."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return the body of a response that is not streamed."""
        ...


async def respond_with_blocks(
    http: Request, api: BlockApi, reply: BlockReply, replies: Replies, is_streamed: bool
) -> Response:
    """Answer a request with the only reply of `replies`; ApiError if it fails."""
    try:
        if not is_streamed:
            await unless_disconnected(http, _collect(reply, replies))
            return JSONResponse(api.to_json())
        # The status line waits for the first event, so that an early failure is an HTTP error.
        first = await unless_disconnected(http, replies.next())
        early = list(reply.read(*first)) if first is not None else []
        return EventStream(_events(api, reply, replies, early), replies)
    except ClientDisconnect:
        replies.cancel()
        return Response(status_code=499)  # nobody receives it
    except BaseException:
        replies.cancel()
        raise


async def _collect(reply: BlockReply, replies: Replies) -> None:
    while (item := await replies.next()) is not None:
        list(reply.read(*item))


async def _events(
    api: BlockApi, reply: BlockReply, replies: Replies, early: list[BlockEvent]
) -> AsyncIterator[str]:
    """Yield the text of the stream. `early` is what the first event changed."""
    for opening in api.opening():
        yield _write(opening)
    try:
        changes: Iterator[BlockEvent] = iter(early)
        while True:
            for change in changes:
                for event in api.block(change):
                    yield _write(event)
            item = await replies.next()
            if item is None:
                break
            changes = reply.read(*item)
    except ApiError as error:
        yield _write(api.failure(error))
        return
    for closing in api.closing():
        yield _write(closing)


def _write(event: ApiEvent) -> str:
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n"
