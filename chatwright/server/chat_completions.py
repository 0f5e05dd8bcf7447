"""/v1/chat/completions: one request's replies, as one JSON answer or as server-sent events.

Both forms are made of the same events, so their texts are equal. A choice that fails ends the request: before the first event
as a plain HTTP error, later as an error event, and `[DONE]` is sent only where everything went well. A client that goes away
cancels its replies, streaming or not.
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
from chatwright.server.engine_thread import EngineThread, Failed, PendingReply, Replier
from chatwright.server.errors import ApiError

T = TypeVar("T")


class Replies:
    """The n replies of one request, from the engine's thread to this event loop."""

    def __init__(
        self, engine: EngineThread, request: ChatRequest, seed: int, assistant: Replier
    ) -> None:
        loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[tuple[int, ReplyEvent | Failed | None]] = asyncio.Queue()
        self._n_open = request.n
        conversation = request.conversation

        def pending(index: int) -> PendingReply:
            def deliver(event: ReplyEvent | Failed | None) -> None:
                loop.call_soon_threadsafe(self._queue.put_nowait, (index, event))

            return PendingReply(conversation, request.sampling(index, seed), deliver, assistant)

        self._tickets = [pending(index) for index in range(request.n)]
        engine.submit(self._tickets)

    async def next(self) -> tuple[int, ReplyEvent] | None:
        """The next event of any of them; None when all are done. Raises the ApiError of one that failed."""
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
        for pending in self._tickets:
            pending.cancel()


class EventStream(StreamingResponse):
    """Server-sent events that cancel the replies when the stream ends, however it ends and even if it never began."""

    def __init__(self, events: AsyncIterator[str], replies: Replies) -> None:
        super().__init__(events, media_type="text/event-stream")
        self.replies = replies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.replies.cancel()


async def server_sent_events(
    completion: Completion, replies: Replies, first: tuple[int, ReplyEvent] | None
) -> AsyncIterator[str]:
    request = completion.request
    with_usage = request.stream_options is not None and request.stream_options.include_usage

    def event(data: dict[str, Any]) -> str:
        return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"

    def send(chunk: dict[str, Any]) -> str:
        return event({**chunk, "usage": None} if with_usage else chunk)

    for index in range(request.n):
        yield send(completion.opening(index))
    item = first
    try:
        while item is not None:
            index, happened = item
            for chunk in completion.take(index, happened):
                yield send(chunk)
            item = await replies.next()
    except ApiError as error:
        yield event(error.body())
        return
    if with_usage:
        yield event(completion.closing())
    yield "data: [DONE]\n\n"


async def unless_disconnected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; raises ClientDisconnect where the client went away first."""

    async def disconnected() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, watching = asyncio.ensure_future(work), asyncio.ensure_future(disconnected())
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        watching.cancel()


async def collect(completion: Completion, replies: Replies) -> dict[str, Any]:
    while (item := await replies.next()) is not None:
        list(completion.take(*item))
    return completion.whole()


async def answer(http: Request, request: ChatRequest, engine: EngineThread) -> Response:
    served = (
        engine.require_served()
    )  # once: the reply, its tokens' names and what is said about the model must be one model's
    completion = Completion(request, served)
    replies = Replies(engine, request, completion.seed, served.assistant)
    try:
        if not request.stream:
            return JSONResponse(await unless_disconnected(http, collect(completion, replies)))
        # The status line waits for the first event, so that a refusal by the model's side is still a plain HTTP error.
        first = await unless_disconnected(http, replies.next())
        return EventStream(server_sent_events(completion, replies, first), replies)
    except ClientDisconnect:
        replies.cancel()
        return Response(status_code=499)  # nobody reads it
    except BaseException:
        replies.cancel()
        raise
