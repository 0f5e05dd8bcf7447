"""One answer in the making: events of the assistant in, the JSON of the OpenAI protocol out, in pieces or whole.

A command of the model becomes a tool call of the function "command" (`chat_request.py` reads it back), so that it cannot be
mistaken for text, nor text for it. One field is not OpenAI's, `chatwright`:

    seed       the seed of choice 0; choice i has seed + i. With the same model and messages it gives the same replies
    model      which model answers: its number, which grows when another one is put in place, and words for it where there are some
    truncated  the oldest messages did not fit into what the model can see; how many were left out, and a sentence
    tools      commands that were run here during the reply, and what came back

Log-probabilities are the model's own, before temperature and penalties.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from chatwright.chat.reply_events import Finished, ReplyEvent, TextDelta, ToolReturned, Truncated
from chatwright.engine.philox import MAX_SEED
from chatwright.engine.request import TokenSampled
from chatwright.server.chat_request import ChatRequest, write_command
from chatwright.server.engine_thread import Served
from chatwright.server.errors import ApiError
from chatwright.tokenizer.tool_call_text import FREE_TEXT_FUNCTION, write_tool_call

FINISH_REASONS = {"stop": "stop", "length": "length", "tool_call": "tool_calls"}
DRAWN_SEEDS = (
    2**53
)  # what JavaScript can hold exactly, so that a page can show the seed and send it back


@dataclass
class Choice:
    """What has been said so far in one of the n replies, and how it ended."""

    text: str = ""
    tool_call: dict[str, Any] | None = None
    finish_reason: str | None = None
    log_probs: list[dict[str, Any]] = field(default_factory=list)
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Completion:
    def __init__(self, request: ChatRequest, served: Served) -> None:
        self.request, self.tokenizer = request, served.assistant.tokenizer
        self.id = f"chatcmpl-{secrets.token_hex(16)}"
        self.created = int(time.time())
        self.seed = (
            secrets.randbelow(DRAWN_SEEDS)
            if request.seed is None
            else request.seed % (MAX_SEED + 1)
        )
        self.choices = [Choice() for _ in range(request.n)]
        self.notes: dict[str, Any] = {
            "seed": self.seed,
            "model": {"number": served.number, "description": served.description},
        }

    def take(self, index: int, event: ReplyEvent) -> Iterator[dict[str, Any]]:
        """Note the event; gives the chunks that tell a streaming client of it. Must be read to its end."""
        choice = self.choices[index]
        match event:
            case TextDelta():
                log_probs = self.log_probs(event.tokens)
                choice.text += event.text
                choice.log_probs += log_probs
                yield self.chunk(index, {"content": event.text}, log_probs=log_probs)
            case Truncated():
                self.notes["truncated"] = {
                    "n_cut": event.n_cut,
                    "n_kept": event.n_kept,
                    "message": str(event),
                }
                yield self.chunk(
                    index, {"content": ""}, chatwright={"truncated": self.notes["truncated"]}
                )
            case ToolReturned():
                tool = {
                    "index": index,
                    "command": write_tool_call(event.call),
                    "result": event.result.content,
                }
                self.notes.setdefault("tools", []).append(tool)
                yield self.chunk(index, {"content": ""}, chatwright={"tools": [tool]})
            case Finished():
                yield from self.finish(index, choice, event)

    def finish(self, index: int, choice: Choice, event: Finished) -> Iterator[dict[str, Any]]:
        if event.reason not in FINISH_REASONS:
            raise ApiError(
                500, event.error or f"the reply ended early ({event.reason})", code="reply_failed"
            )
        choice.finish_reason = FINISH_REASONS[event.reason]
        choice.prompt_tokens, choice.completion_tokens = (
            event.usage.prompt_tokens,
            event.usage.completion_tokens,
        )
        if event.reason == "tool_call":
            text = write_tool_call(event.message.tool_calls[0])
            function = {"name": FREE_TEXT_FUNCTION, "arguments": write_command(text)}
            choice.tool_call = {
                "id": f"call_{secrets.token_hex(12)}",
                "type": "function",
                "function": function,
            }
            yield self.chunk(index, {"tool_calls": [{"index": 0, **choice.tool_call}]})
        yield self.chunk(index, {}, choice.finish_reason)

    # ---- pieces ---------------------------------------------------------------------------------------------------

    def head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.request.model}

    def opening(self, index: int) -> dict[str, Any]:
        return self.chunk(
            index,
            {"role": "assistant", "content": ""},
            chatwright={name: self.notes[name] for name in ("seed", "model")},
        )

    def chunk(
        self,
        index: int,
        delta: dict[str, Any],
        reason: str | None = None,
        log_probs: Sequence[dict[str, Any]] = (),
        **extra: Any,
    ) -> dict[str, Any]:
        shown = {"content": log_probs, "refusal": None} if log_probs else None
        choice = {"index": index, "delta": delta, "logprobs": shown, "finish_reason": reason}
        return {**self.head("chat.completion.chunk"), "choices": [choice], **extra}

    def closing(self) -> dict[str, Any]:
        return {**self.head("chat.completion.chunk"), "choices": [], "usage": self.usage()}

    # ---- the whole ------------------------------------------------------------------------------------------------

    def whole(self) -> dict[str, Any]:
        choices = [self.whole_choice(index, choice) for index, choice in enumerate(self.choices)]
        return {
            **self.head("chat.completion"),
            "choices": choices,
            "usage": self.usage(),
            "chatwright": self.notes,
        }

    def whole_choice(self, index: int, choice: Choice) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": choice.text, "refusal": None}
        if choice.tool_call is not None:
            message |= {"content": choice.text or None, "tool_calls": [choice.tool_call]}
        log_probs = (
            {"content": choice.log_probs, "refusal": None} if self.request.logprobs else None
        )
        return {
            "index": index,
            "message": message,
            "logprobs": log_probs,
            "finish_reason": choice.finish_reason,
        }

    def usage(self) -> dict[str, int]:
        prompt, completion = (
            self.choices[0].prompt_tokens,
            sum(choice.completion_tokens for choice in self.choices),
        )
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }

    def log_probs(self, tokens: Sequence[TokenSampled]) -> list[dict[str, Any]]:
        if not self.request.logprobs:
            return []
        return [
            {
                **self.token(token.token_id, token.log_prob),
                "top_logprobs": [self.token(*alternative) for alternative in token.alternatives],
            }
            for token in tokens
        ]

    def token(self, token_id: int, log_prob: float) -> dict[str, Any]:
        """A token by its text; a control token, which has none, by its name and without bytes."""
        control = self.tokenizer.control.string_of(token_id)
        if control is not None:
            return {"token": control, "logprob": log_prob, "bytes": None}
        content = self.tokenizer.token_bytes(token_id)
        return {
            "token": content.decode("utf-8", errors="replace"),
            "logprob": log_prob,
            "bytes": list(content),
        }
