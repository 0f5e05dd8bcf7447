"""/v1/chat/completions: one request's replies, as one JSON answer or as server-sent events.

Both forms are made of the same events, so their texts are equal. A choice that fails ends the request: before the first word
as a plain HTTP error, later as an error event, and `[DONE]` is sent only where everything went well. A client that goes away
cancels its replies, streaming or not.

One field is not OpenAI's: `chatwright.truncated` says that the oldest turns did not fit and were left out.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from chatwright.chat.assistant import Finished, ReplyEvent, TextDelta, Truncated
from chatwright.server.chat_request import COMMAND_FUNCTION, ChatRequest, write_command
from chatwright.server.engine_thread import EngineThread, Failed, Ticket
from chatwright.server.errors import ApiError

T = TypeVar("T")


@dataclass
class Choice:
    """What has been said so far in one of the n replies, and how it ended."""

    text: str = ""
    command: str | None = None
    finish_reason: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Replies:
    """The n replies of one request, from the engine's thread to this event loop."""

    def __init__(self, engine: EngineThread, request: ChatRequest) -> None:
        loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[tuple[int, ReplyEvent | Failed | None]] = asyncio.Queue()
        self._n_open = request.n
        conversation = request.conversation

        def ticket(index: int) -> Ticket:
            def deliver(event: ReplyEvent | Failed | None) -> None:
                loop.call_soon_threadsafe(self._queue.put_nowait, (index, event))

            return Ticket(conversation, request.sampling(index), deliver)

        self._tickets = [ticket(index) for index in range(request.n)]
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
        for ticket in self._tickets:
            ticket.cancel()


class Completion:
    """One answer in the making: takes events in, gives the JSON of chunks and of the whole out."""

    def __init__(self, request: ChatRequest) -> None:
        self.id = f"chatcmpl-{secrets.token_hex(16)}"
        self.created = int(time.time())
        self.request = request
        self.choices = [Choice() for _ in range(request.n)]
        self.truncated: dict[str, Any] | None = None

    def take(self, index: int, event: ReplyEvent) -> dict[str, Any] | None:
        """Note the event; the chunk that tells a streaming client of it, if it is one the client hears of."""
        choice = self.choices[index]
        match event:
            case TextDelta(text=text):
                choice.text += text
                return self.chunk(index, {"content": text})
            case Truncated():
                self.truncated = {"message": describe(event)}
                return self.chunk(index, {"content": ""}, chatwright={"truncated": self.truncated})
            case Finished():
                choice.prompt_tokens, choice.completion_tokens = event.usage.prompt_tokens, event.usage.completion_tokens
                choice.finish_reason = event.reason
                if event.message.role == "command":
                    choice.command, choice.finish_reason = event.message.content, "tool_calls"
                    return self.chunk(index, {"tool_calls": [{"index": 0, **tool_call(choice.command)}]})
        return None

    def chunk(self, index: int, delta: dict[str, Any], finish_reason: str | None = None, **extra: Any) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**self.head("chat.completion.chunk"), "choices": [choice], **extra}

    def head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.request.model}

    def usage(self) -> dict[str, int]:
        prompt, completion = self.choices[0].prompt_tokens, sum(choice.completion_tokens for choice in self.choices)
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}

    def whole(self) -> dict[str, Any]:
        extra = {"chatwright": {"truncated": self.truncated}} if self.truncated else {}
        choices = [self.whole_choice(index, choice) for index, choice in enumerate(self.choices)]
        return {**self.head("chat.completion"), "choices": choices, "usage": self.usage(), **extra}

    def whole_choice(self, index: int, choice: Choice) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": choice.text, "refusal": None}
        if choice.command is not None:
            message |= {"content": None, "tool_calls": [tool_call(choice.command)]}
        return {"index": index, "message": message, "logprobs": None, "finish_reason": choice.finish_reason}


def describe(event: Truncated) -> str:
    return "the oldest turns did not fit into what the model can see and were left out"


def tool_call(command: str) -> dict[str, Any]:
    function = {"name": COMMAND_FUNCTION, "arguments": write_command(command)}
    return {"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}


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


async def server_sent_events(completion: Completion, replies: Replies, first: tuple[int, ReplyEvent] | None) -> AsyncIterator[str]:
    request = completion.request
    with_usage = request.stream_options is not None and request.stream_options.include_usage

    def event(data: dict[str, Any]) -> str:
        return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"

    def send(chunk: dict[str, Any]) -> str:
        return event({**chunk, "usage": None} if with_usage else chunk)

    for index in range(request.n):
        yield send(completion.chunk(index, {"role": "assistant", "content": ""}))
    item = first
    try:
        while item is not None:
            index, happened = item
            if (chunk := completion.take(index, happened)) is not None:
                yield send(chunk)
            if (reason := completion.choices[index].finish_reason) is not None:
                yield send(completion.chunk(index, {}, reason))
            item = await replies.next()
    except ApiError as error:
        yield event(error.body())
        return
    if with_usage:
        yield event({**completion.head("chat.completion.chunk"), "choices": [], "usage": completion.usage()})
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
        completion.take(*item)
    return completion.whole()


async def answer(http: Request, request: ChatRequest, engine: EngineThread) -> Response:
    replies = Replies(engine, request)
    completion = Completion(request)
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
