"""Collect the events of the replies to one request and write them as JSON of the OpenAI API.

Calls of the client's tools are sent in pieces while they are written; a response that is not
streamed holds their whole. Any other tool call becomes a call of the function "command"
(`chat_message.py` reads it back).
The field `chatwright` of the response is not part of the OpenAI API. It holds:

- seed: the seed of choice 0. Choice i uses seed + i. The same seed and model repeat a reply.
- model: number and description of the model that replied. The number grows with each new model.
- truncated: how many of the oldest messages did not fit into the context, and an explanation.
- tools: tool calls that were run during the reply, and their results.
- receipts: for each choice, what its bytes depend on (`chat/receipt.py`).

Log-probabilities are the model's own, before temperature and penalties. What a reasoning model
thinks before its answer is in reasoning_content, as in DeepSeek's API, without log-probabilities.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from chatwright.chat.reply_events import (
    Finished,
    ReplyEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolReturned,
    Truncated,
    Usage,
)
from chatwright.chat.tool_grammar import text_parameter
from chatwright.conversation import Message, ToolCall
from chatwright.engine.messages import TokenSampled
from chatwright.server.completions_api.best_of import best_of
from chatwright.server.completions_api.chat_message import write_command
from chatwright.server.completions_api.chat_request import ChatRequest
from chatwright.server.completions_api.token_text import token_text
from chatwright.server.errors import ApiError
from chatwright.server.replies.pending_reply import Served
from chatwright.server.replies.reply_receipt import receipt_of
from chatwright.tokenizer.tool_call_text import FREE_TEXT_FUNCTION, write_tool_call

FINISH_REASONS = {"stop": "stop", "length": "length", "tool_call": "tool_calls"}
"""OpenAI's finish_reason for each `Finished.reason`; other reasons are errors."""


@dataclass
class Choice:
    """The state of one of the n replies."""

    text: str = ""
    thinking: str = ""
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    finish_reason: str | None = None
    message: Message | None = None
    """The whole reply, when it has ended."""
    receipt: dict[str, Any] = field(default_factory=dict)
    log_probs: list[dict[str, Any]] = field(default_factory=list)
    usage: Usage = field(default_factory=lambda: Usage(0, 0))
    mean_log_prob: float = 0.0


class Completion:
    """The response to one request."""

    def __init__(self, request: ChatRequest, served: Served) -> None:
        """Prepare the response of the model `served`; draw a seed if the request has none."""
        self.request = request
        self.tokenizer = served.assistant.tokenizer
        self.identity = served.identity
        self.fingerprint = served.identity.fingerprint
        self._began = time.monotonic()
        self.completed: Callable[[list[Message]], None] = lambda messages: None
        """Receives the replies when all have ended."""
        self.id = f"chatcmpl-{secrets.token_hex(16)}"
        self.created = int(time.time())
        self.seed = request.first_seed()
        self.choices = [Choice() for _ in range(request.n_generated)]
        self.notes: dict[str, Any] = {  # the response's field `chatwright`
            "seed": self.seed,
            "model": {"number": served.number, "description": served.description},
        }

    def chunks(self, index: int, event: ReplyEvent) -> Iterator[dict[str, Any]]:
        """Store an event of choice `index` and yield its chunks for a streaming client.

        Read the iterator to its end, or the event is stored in part only.
        """
        choice = self.choices[index]
        match event:
            case TextDelta():
                log_probs = self._log_probs(event.tokens)
                choice.text += event.text
                choice.log_probs += log_probs
                yield self._chunk(index, {"content": event.text}, log_probs=log_probs)
            case ThinkingDelta():
                choice.thinking += event.text
                yield self._chunk(index, {"reasoning_content": event.text})
            case ToolCallDelta():
                yield from self._extend_call(index, choice, event)
            case Truncated():
                note = {"n_cut": event.n_cut, "n_kept": event.n_kept, "message": str(event)}
                self.notes["truncated"] = note
                yield self._chunk(index, {"content": ""}, chatwright={"truncated": note})
            case ToolReturned():
                tool = {
                    "index": index,
                    "command": write_tool_call(event.call),
                    "result": event.result.content,
                }
                self.notes.setdefault("tools", []).append(tool)
                yield self._chunk(index, {"content": ""}, chatwright={"tools": [tool]})
            case Finished():
                yield from self._finish(index, choice, event)

    def opening_chunks(self) -> Iterator[dict[str, Any]]:
        """Yield the chunk that begins each choice."""
        notes = {name: self.notes[name] for name in ("seed", "model")}
        for index in range(len(self.choices)):
            yield self._chunk(index, {"role": "assistant", "content": ""}, chatwright=notes)

    def usage_chunk(self) -> dict[str, Any]:
        """Return the last chunk, which holds only the token counts."""
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": self._usage()}

    def to_json(self) -> dict[str, Any]:
        """Return the body of a response that is not streamed."""
        best = best_of(self.choices, self.request.n)
        return {
            **self._head("chat.completion"),
            "choices": [self._choice_to_json(index, choice) for index, choice in enumerate(best)],
            "usage": self._usage(),
            "chatwright": {**self.notes, "receipts": [choice.receipt for choice in best]},
        }

    def _finish(self, index: int, choice: Choice, event: Finished) -> Iterator[dict[str, Any]]:
        if event.reason not in FINISH_REASONS:
            message = event.error or f"the reply ended early ({event.reason})"
            raise ApiError(500, message, code="reply_failed")
        choice.finish_reason = FINISH_REASONS[event.reason]
        choice.usage = event.usage
        choice.mean_log_prob = event.mean_log_prob
        choice.message = event.message
        if event.reason == "tool_call" and choice.tool_calls and self._calls_are_text:
            yield self._call_piece(index, choice, 0, '"}')
        elif event.reason == "tool_call" or not self._calls_are_text:
            for call in event.message.tool_calls[len(choice.tool_calls) :]:  # not sent in pieces
                yield self._begin_call(index, choice, *self._written_call(call))
        n_cut = self.notes.get("truncated", {}).get("n_cut", 0)
        receipt = receipt_of(self.identity, event, time.monotonic() - self._began, n_cut)
        choice.receipt = receipt.to_json(self.request.receipt)
        notes = {"receipts": [{"index": index, **choice.receipt}]}
        if all(choice.finish_reason for choice in self.choices):
            best = best_of(self.choices, self.request.n)
            self.completed([one.message for one in best if one.message is not None])
        yield self._chunk(index, {}, choice.finish_reason, chatwright=notes)

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.request.model,
            "system_fingerprint": self.fingerprint,
        }

    def _chunk(
        self,
        index: int,
        delta: dict[str, Any],
        reason: str | None = None,
        log_probs: Sequence[dict[str, Any]] = (),
        **extra: Any,
    ) -> dict[str, Any]:
        choice = {
            "index": index,
            "delta": delta,
            "logprobs": {"content": log_probs, "refusal": None} if log_probs else None,
            "finish_reason": reason,
        }
        return {**self._head("chat.completion.chunk"), "choices": [choice], **extra}

    def _choice_to_json(self, index: int, choice: Choice) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": choice.text, "refusal": None}
        if choice.thinking:
            message["reasoning_content"] = choice.thinking
        if choice.tool_calls:
            message |= {"content": choice.text or None, "tool_calls": choice.tool_calls}
        log_probs = {"content": choice.log_probs, "refusal": None}
        return {
            "index": index,
            "message": message,
            "logprobs": log_probs if self.request.logprobs else None,
            "finish_reason": choice.finish_reason,
        }

    def _usage(self) -> dict[str, Any]:
        first = self.choices[0].usage
        completion = sum(choice.usage.completion_tokens for choice in self.choices)
        return {
            "prompt_tokens": first.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": first.prompt_tokens + completion,
            "prompt_tokens_details": {"cached_tokens": first.cached_tokens},
        }

    def _log_probs(self, tokens: Sequence[TokenSampled]) -> list[dict[str, Any]]:
        if not self.request.logprobs:
            return []
        return [
            {
                **self._token(token.token_id, token.log_prob),
                "top_logprobs": [self._token(*alternative) for alternative in token.alternatives],
            }
            for token in tokens
        ]

    def _token(self, token_id: int, log_prob: float) -> dict[str, Any]:
        """Return a token by its text; a control token by its string, without bytes."""
        text, content = token_text(self.tokenizer, token_id)
        return {"token": text, "logprob": log_prob, "bytes": content}

    @property
    def _calls_are_text(self) -> bool:
        """Whether a call is one text, as in Chatwright's own models."""
        chat_format = self.tokenizer.chat_format
        return chat_format is None or chat_format.tools is None

    def _extend_call(
        self, index: int, choice: Choice, event: ToolCallDelta
    ) -> Iterator[dict[str, Any]]:
        """Yield the chunks of a piece of a call: id and name first, then pieces of arguments."""
        piece = event.arguments
        if self._calls_are_text:
            piece = json.dumps(piece, ensure_ascii=False)[1:-1]
        if event.number == len(choice.tool_calls):
            yield self._begin_call(index, choice, event.name, "")
            if self._calls_are_text:
                piece = f'{{{json.dumps(self._text_parameter(event.name))}: "{piece}'
        if piece:
            yield self._call_piece(index, choice, event.number, piece)

    def _begin_call(self, index: int, choice: Choice, name: str, arguments: str) -> dict[str, Any]:
        """Return the first chunk of a call, with an id that no other response uses."""
        number = len(choice.tool_calls)
        function = {"name": name, "arguments": arguments}
        call = {"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}
        choice.tool_calls.append(call)
        delta = {"index": number, **call, "function": dict(function)}
        return self._chunk(index, {"tool_calls": [delta]})

    def _call_piece(self, index: int, choice: Choice, number: int, piece: str) -> dict[str, Any]:
        choice.tool_calls[number]["function"]["arguments"] += piece
        delta = {"index": number, "function": {"arguments": piece}}
        return self._chunk(index, {"tool_calls": [delta]})

    def _written_call(self, call: ToolCall) -> tuple[str, str]:
        """Return name and arguments of a complete call as the client reads them."""
        if not self._calls_are_text:
            return call.name, call.arguments
        if call.name not in {tool.name for tool in self.request.form.tools}:
            return FREE_TEXT_FUNCTION, write_command(write_tool_call(call))
        written = {self._text_parameter(call.name): call.parsed_arguments["text"]}
        return call.name, json.dumps(written, ensure_ascii=False)

    def _text_parameter(self, name: str) -> str:
        """Return the name of the only parameter of one of the client's tools."""
        [tool] = [tool for tool in self.request.form.tools if tool.name == name]
        return text_parameter(tool)
