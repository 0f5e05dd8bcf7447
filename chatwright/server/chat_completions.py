"""POST /v1/chat/completions: the replies to one request, as JSON or as server-sent events.

Both forms are made from the same reply events, so their texts are equal. If one of the n replies
fails, the request fails: with an HTTP error before the first event, later with an error event.
`[DONE]` is sent only if no reply failed. A client that disconnects cancels its replies.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from chatwright.chat.reply_events import ReplyEvent
from chatwright.server.chat_request import ChatRequest
from chatwright.server.completion import Completion
from chatwright.server.engine_thread import EngineThread
from chatwright.server.errors import ApiError
from chatwright.server.pending_reply import Failed, PendingReply, Replier

T = TypeVar("T")


class Replies:
    """The n replies to one request, passed from the engine's thread to the HTTP event loop."""

    def __init__(
        self, engine: EngineThread, request: ChatRequest, seed: int, assistant: Replier
    ) -> None:
        """Submit the replies; ApiError if the server cannot take them."""
        loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[tuple[int, ReplyEvent | Failed | None]] = asyncio.Queue()
        self._n_open = request.n
        conversation = request.conversation

        def pending(index: int) -> PendingReply:
            def deliver(event: ReplyEvent | Failed | None) -> None:
                loop.call_soon_threadsafe(self._queue.put_nowait, (index, event))

            sampling = request.sampling(index, seed)
            return PendingReply(conversation, sampling, deliver, assistant, request.enable_thinking)

        self._pending = [pending(index) for index in range(request.n)]
        engine.submit(self._pending)

    async def next(self) -> tuple[int, ReplyEvent] | None:
        """Return the next event of any reply with the reply's index; None when all have ended.

        Raises the ApiError of a reply that failed.
        """
        while self._n_open:
            index, event = await self._queue.get()
            if event is None:
                self._n_open -= 1
            elif isinstance(event, Failed):
                raise event.error
            else:
                return index, event
        return None

    def cancel(self) -> None:
        """Cancel all replies."""
        for pending in self._pending:
            pending.cancel()


class EventStream(StreamingResponse):
    """Server-sent events. The replies are canceled when the stream ends, even before it began."""

    def __init__(self, events: AsyncIterator[str], replies: Replies) -> None:
        """Stream `events`, which come from `replies`."""
        super().__init__(events, media_type="text/event-stream")
        self.replies = replies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.replies.cancel()


async def complete_chat(http: Request, request: ChatRequest, engine: EngineThread) -> Response:
    """Answer a request; ApiError if it cannot be answered."""
    # Read once, because another model may be served before the replies are complete.
    served = engine.require_served()
    completion = Completion(request, served)
    replies = Replies(engine, request, completion.seed, served.assistant)
    try:
        if not request.stream:
            return JSONResponse(await unless_disconnected(http, collect(completion, replies)))
        # The status line waits for the first event, so that an early failure is an HTTP error.
        first = await unless_disconnected(http, replies.next())
        return EventStream(server_sent_events(completion, replies, first), replies)
    except ClientDisconnect:
        replies.cancel()
        return Response(status_code=499)  # nobody receives it
    except BaseException:
        replies.cancel()
        raise


async def collect(completion: Completion, replies: Replies) -> dict[str, Any]:
    """Return the body of the whole response."""
    while (item := await replies.next()) is not None:
        list(completion.chunks(*item))
    return completion.to_json()


async def server_sent_events(
    completion: Completion, replies: Replies, first: tuple[int, ReplyEvent] | None
) -> AsyncIterator[str]:
    """Yield the events of a streamed response. `first` is the first reply event."""
    request = completion.request
    with_usage = request.stream_options is not None and request.stream_options.include_usage

    def write(data: dict[str, Any]) -> str:
        return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"

    def write_chunk(chunk: dict[str, Any]) -> str:
        return write({**chunk, "usage": None} if with_usage else chunk)

    for index in range(request.n):
        yield write_chunk(completion.first_chunk(index))
    item = first
    try:
        while item is not None:
            index, event = item
            for chunk in completion.chunks(index, event):
                yield write_chunk(chunk)
            item = await replies.next()
    except ApiError as error:
        yield write(error.body())
        return
    if with_usage:
        yield write(completion.usage_chunk())
    yield "data: [DONE]\n\n"


async def unless_disconnected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`; raise ClientDisconnect if the client disconnects first."""

    async def wait_for_disconnect() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(wait_for_disconnect())
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        watching.cancel()
