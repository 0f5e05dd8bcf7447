"""The reply of /v1/responses, whole or as events, in the shape of OpenAI's API."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

from chatwright.server.errors import ApiError
from chatwright.server.replies.block_stream import ApiEvent, BlockReply
from chatwright.server.replies.reply_blocks import Block, BlockEvent, Ended, Started
from chatwright.server.responses_api.request import ResponsesRequest

ITEM_PREFIXES = {"text": "msg", "thinking": "rs", "tool_call": "fc"}


class ResponsesReply:
    """The reply to one request."""

    def __init__(
        self,
        request: ResponsesRequest,
        reply: BlockReply,
        store: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> None:
        """Write `reply`, whose events are read elsewhere; give the complete response to `store`."""
        self.request = request
        self.reply = reply
        self.store = store
        self.created = int(time.time())
        self._n_event = 0
        self._suffix = secrets.token_hex(12)

    def opening(self) -> Iterator[ApiEvent]:
        """Yield that the response has been created and is being sampled."""
        response = self._response("in_progress", [])
        for kind in ("response.created", "response.in_progress"):
            yield self._event(kind, response=response)

    def block(self, event: BlockEvent) -> Iterator[ApiEvent]:
        """Yield the start, a piece or the end of an item of the output."""
        block = event.block
        place = {"item_id": self._item_id(block), "output_index": block.index}
        if isinstance(event, Started):
            yield self._event(
                "response.output_item.added",
                output_index=block.index,
                item=self._item(block, "in_progress"),
            )
            if block.kind == "text":
                part = _text_part("")
                yield self._event("response.content_part.added", **place, **AT_0, part=part)
        elif isinstance(event, Ended):
            yield from self._end_of(block, place)
        elif block.kind == "text":
            delta = event.piece
            kind = "response.output_text.delta"
            yield self._event(kind, **place, **AT_0, delta=delta, logprobs=[])
        elif block.kind == "thinking":
            yield self._event("response.reasoning_text.delta", **place, **AT_0, delta=event.piece)
        else:
            kind = "response.function_call_arguments.delta"
            yield self._event(kind, **place, delta=event.piece)

    def closing(self) -> Iterator[ApiEvent]:
        """Yield the complete response."""
        response = self.to_json()
        yield self._event(f"response.{response['status']}", response=response)

    def failure(self, error: ApiError) -> ApiEvent:
        """Return the event of a failed response."""
        output = [self._item(block, "incomplete") for block in self.reply.blocks]
        response = self._response("failed", output)
        # The official client knows a fixed list of codes; this is the general one.
        response["error"] = {"code": "server_error", "message": error.message}
        response["chatwright"] = {**self.reply.notes, "code": error.code}
        return self._event("response.failed", response=response)

    def to_json(self) -> dict[str, Any]:
        """Return the complete response, and store it."""
        is_cut = self.reply.reader.finish_reason == "length"
        status = "incomplete" if is_cut else "completed"
        blocks = self.reply.blocks
        output = [self._item(block, "completed") for block in blocks]
        if is_cut and output:
            output[-1]["status"] = "incomplete"
        response = self._response(status, output)
        usage = self.reply.usage
        response["usage"] = {
            "input_tokens": usage.prompt_tokens,
            "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
            "output_tokens": usage.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": self.reply.n_thinking},
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        }
        if is_cut:
            response["incomplete_details"] = {"reason": "max_output_tokens"}
        self.store(response)
        return response

    def _end_of(self, block: Block, place: dict[str, Any]) -> Iterator[ApiEvent]:
        if block.kind == "text":
            text, part = block.content, _text_part(block.content)
            kind = "response.output_text.done"
            yield self._event(kind, **place, **AT_0, text=text, logprobs=[])
            yield self._event("response.content_part.done", **place, **AT_0, part=part)
        elif block.kind == "thinking":
            yield self._event("response.reasoning_text.done", **place, **AT_0, text=block.content)
        else:
            arguments, name = block.content, block.name
            kind = "response.function_call_arguments.done"
            yield self._event(kind, **place, arguments=arguments, name=name)
        yield self._event(
            "response.output_item.done",
            output_index=block.index,
            item=self._item(block, "completed"),
        )

    def _event(self, kind: str, **fields: Any) -> ApiEvent:
        event = {"type": kind, "sequence_number": self._n_event, **fields}
        self._n_event += 1
        return event

    def _item_id(self, block: Block) -> str:
        return f"{ITEM_PREFIXES[block.kind]}_{self._suffix}{block.index:04x}"

    def _item(self, block: Block, status: str) -> dict[str, Any]:
        """Return an item of the output; one in progress is empty."""
        head = {"id": self._item_id(block), "status": status}
        content = "" if status == "in_progress" else block.content
        match block.kind:
            case "text":
                parts = [_text_part(content)] if content else []
                return {**head, "type": "message", "role": "assistant", "content": parts}
            case "thinking":
                parts = [{"type": "reasoning_text", "text": content}] if content else []
                return {**head, "type": "reasoning", "summary": [], "content": parts}
            case "tool_call":
                call = {"call_id": block.call_id, "name": block.name, "arguments": content}
                return {**head, "type": "function_call", **call}

    def _sampling(self) -> dict[str, float]:
        """Return the settings of the reply, those of the model for what was left out."""
        completion = self.reply.completion
        used = completion.request.sampling(0, completion.seed, completion.identity.sampling)
        return {"temperature": used.temperature, "top_p": used.top_p}

    def _response(self, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
        request = self.request
        echoed = request.model_dump(
            include={
                "instructions",
                "max_output_tokens",
                "metadata",
                "model",
                "parallel_tool_calls",
                "previous_response_id",
                "store",
                "tool_choice",
                "truncation",
            },
            mode="json",
        )
        reasoning = request.reasoning.model_dump(mode="json") if request.reasoning else {}
        options = request.text.model_dump(mode="json", by_alias=True) if request.text else {}
        tools = [tool.model_dump(mode="json") for tool in request.tools or ()]
        return {
            "id": self.reply.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "output": output,
            **echoed,
            **self._sampling(),
            "metadata": request.metadata or {},
            "reasoning": {"effort": reasoning.get("effort"), "summary": None},
            "text": {"format": options.get("format") or {"type": "text"}},
            "tools": tools,
            "usage": None,
            "chatwright": self.reply.notes,
        }


AT_0 = {"content_index": 0}
"""The place in an item; our items have one content each."""


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
