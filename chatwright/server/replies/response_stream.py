"""Answer a request whose replies are sampled: as JSON, or as server-sent events.

Both forms are made from the same events, so their texts are equal. If one of the replies fails, the
request fails: with an HTTP error before the first event, later with an error event. `[DONE]` is
sent only if no reply failed. A client that disconnects cancels its replies, except those that are
written into the store (`answer_recorder.py`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from chatwright.server.errors import ApiError
from chatwright.server.replies.engine_thread import EngineThread
from chatwright.server.replies.pending_reply import Deliver, Failed, PendingWork
from chatwright.server.request_body.sampling_request import SamplingRequest

T = TypeVar("T")


class ResponseBuilder(Protocol):
    """Collects the events of the replies and writes them as JSON."""

    @property
    def request(self) -> SamplingRequest:
        """The request that is answered."""
        ...

    def opening_chunks(self) -> Iterator[dict[str, Any]]:
        """Yield the chunks before the first event."""
        ...

    def chunks(self, index: int, event: Any) -> Iterator[dict[str, Any]]:
        """Store an event of reply `index` and yield its chunks for a streaming client.

        Read the iterator to its end, or the event is stored in part only.
        """
        ...

    def usage_chunk(self) -> dict[str, Any]:
        """Return the last chunk, which holds only the token counts."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return the body of a response that is not streamed."""
        ...


class Replies:
    """The replies to one request, passed from the engine's thread to the HTTP event loop."""

    def __init__(
        self, engine: EngineThread, make: Sequence[Callable[[Deliver], PendingWork]]
    ) -> None:
        """Submit the work; ApiError if the server cannot take it.

        Args:
            engine: The thread that does the work.
            make: For each reply, makes the work that delivers its events to the given function.
        """
        loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[tuple[int, Any]] = asyncio.Queue()
        self._n_open = len(make)

        def deliver_to(index: int) -> Deliver:
            timer = engine.metrics.reply_timer()

            def deliver(event: Any) -> None:
                timer.record(event)
                loop.call_soon_threadsafe(self._queue.put_nowait, (index, event))

            return deliver

        self._pending = [make_one(deliver_to(index)) for index, make_one in enumerate(make)]
        engine.submit(self._pending)

    async def next(self) -> tuple[int, Any] | None:
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
        """Cancel the replies that end with their client."""
        for pending in self._pending:
            if not pending.outlives_client:
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


async def respond(http: Request, builder: ResponseBuilder, replies: Replies) -> Response:
    """Answer a request with what `builder` makes of the replies; ApiError if one fails."""
    try:
        if not builder.request.stream:
            return JSONResponse(await unless_disconnected(http, collect(builder, replies)))
        # The status line waits for the first event, so that an early failure is an HTTP error.
        first = await unless_disconnected(http, replies.next())
        return EventStream(server_sent_events(builder, replies, first), replies)
    except ClientDisconnect:
        replies.cancel()
        return Response(status_code=499)  # nobody receives it
    except BaseException:
        replies.cancel()
        raise


async def collect(builder: ResponseBuilder, replies: Replies) -> dict[str, Any]:
    """Return the body of the whole response."""
    while (item := await replies.next()) is not None:
        list(builder.chunks(*item))
    return builder.to_json()


async def server_sent_events(
    builder: ResponseBuilder, replies: Replies, first: tuple[int, Any] | None
) -> AsyncIterator[str]:
    """Yield the events of a streamed response. `first` is the first event of a reply."""
    with_usage = builder.request.with_usage

    def write(data: dict[str, Any]) -> str:
        return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"

    def write_chunk(chunk: dict[str, Any]) -> str:
        return write({**chunk, "usage": None} if with_usage else chunk)

    for chunk in builder.opening_chunks():
        yield write_chunk(chunk)
    item = first
    try:
        while item is not None:
            for chunk in builder.chunks(*item):
                yield write_chunk(chunk)
            item = await replies.next()
    except ApiError as error:
        yield write(error.body())
        return
    if with_usage:
        yield write(builder.usage_chunk())
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
