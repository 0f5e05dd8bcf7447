"""The reply of /v1/messages, whole or as events.

The number of tokens of the prompt is known at the end only, so a stream reports it in
`message_delta`, and `message_start` has 0. Our own field `chatwright` holds the seed and the model,
as in /v1/chat/completions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from chatwright.server.errors import ApiError, anthropic_error
from chatwright.server.messages_api.request import MessagesRequest
from chatwright.server.replies.block_stream import ApiEvent, BlockReply
from chatwright.server.replies.reply_blocks import Block, BlockEvent, Ended, Started

STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
"""Anthropic's stop_reason for each finish_reason of OpenAI."""


class MessagesReply:
    """The reply to one request."""

    def __init__(self, request: MessagesRequest, reply: BlockReply, request_id: str) -> None:
        """Write `reply`, whose events are read elsewhere."""
        self.request = request
        self.reply = reply
        self.request_id = request_id

    def opening(self) -> Iterator[ApiEvent]:
        """Yield the start of the message."""
        message = {
            **self._head(),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 0, "output_tokens": 0},
            "chatwright": self.reply.notes,
        }
        yield {"type": "message_start", "message": message}

    def block(self, event: BlockEvent) -> Iterator[ApiEvent]:
        """Yield the start, a piece or the end of a block."""
        index = event.block.index
        if isinstance(event, Started):
            block = _block_to_json(event.block, is_started=True)
            yield {"type": "content_block_start", "index": index, "content_block": block}
        elif isinstance(event, Ended):
            yield {"type": "content_block_stop", "index": index}
        else:
            delta = _delta(event.block, event.piece)
            yield {"type": "content_block_delta", "index": index, "delta": delta}

    def closing(self) -> Iterator[ApiEvent]:
        """Yield why the reply ended, and the token counts."""
        notes = self.reply.notes
        delta = self._stop()
        usage = self._usage()
        yield {"type": "message_delta", "delta": delta, "usage": usage, "chatwright": notes}
        yield {"type": "message_stop"}

    def failure(self, error: ApiError) -> ApiEvent:
        """Return the error event."""
        return anthropic_error(error, self.request_id)

    def to_json(self) -> dict[str, Any]:
        """Return the whole message."""
        blocks = [_block_to_json(block) for block in self.reply.blocks]
        ending = {**self._stop(), "usage": self._usage(), "chatwright": self.reply.notes}
        return {**self._head(), "content": blocks, **ending}

    def _head(self) -> dict[str, Any]:
        return {
            "id": self.reply.id,
            "type": "message",
            "role": "assistant",
            "model": self.request.model,
        }

    def _stop(self) -> dict[str, Any]:
        reason = STOP_REASONS.get(self.reply.reader.finish_reason, "end_turn")
        stopped_by = self.reply.stopped_by
        is_stop_text = reason == "end_turn" and stopped_by in (self.request.stop_sequences or ())
        if is_stop_text:
            return {"stop_reason": "stop_sequence", "stop_sequence": stopped_by}
        return {"stop_reason": reason, "stop_sequence": None}

    def _usage(self) -> dict[str, Any]:
        usage = self.reply.usage
        return {
            "input_tokens": usage.prompt_tokens - usage.cached_tokens,
            "cache_read_input_tokens": usage.cached_tokens,
            "cache_creation_input_tokens": 0,
            "output_tokens": usage.completion_tokens,
        }


def _block_to_json(block: Block, is_started: bool = False) -> dict[str, Any]:
    """Return a block; one that has just started is empty."""
    content = "" if is_started else block.content
    match block.kind:
        case "text":
            return {"type": "text", "text": content}
        case "thinking":
            return {"type": "thinking", "thinking": content, "signature": ""}
        case "tool_call":
            call = {"id": block.call_id, "name": block.name, "input": _arguments(content)}
            return {"type": "tool_use", **call}


def _arguments(content: str) -> dict[str, Any]:
    """Return the arguments of a call; empty if the reply was cut in the middle of them.

    The stop_reason is then max_tokens.
    """
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _delta(block: Block, piece: str) -> dict[str, Any]:
    match block.kind:
        case "text":
            return {"type": "text_delta", "text": piece}
        case "thinking":
            return {"type": "thinking_delta", "thinking": piece}
        case "tool_call":
            return {"type": "input_json_delta", "partial_json": piece}
