"""The receipt of a reply: everything that its bytes depend on, so that it can be repeated.

A short receipt holds hashes of the prompt and of the reply. A full one also holds the token ids of
both; `replay.py` repeats the reply from it and the model directory alone. A receipt holds no text,
but token ids are as private as the text they stand for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chatwright.conversation import Message
from chatwright.engine.message_codec import request_from_json, request_to_json
from chatwright.engine.messages import Request
from chatwright.errors import InputError

FORMAT = 1
"""Version of the receipt's form."""

Json = dict[str, Any]


@dataclass(frozen=True)
class AnsweredRequest:
    """A request to the engine, and the tokens that were sampled for it.

    A reply has one, and one more for each tool that was run during the reply.
    """

    request: Request
    token_ids: tuple[int, ...]
    """The tokens that belong to the reply, its stop token included."""
    n_cached: int = 0
    """Tokens of the prompt whose keys and values came from an earlier request."""
    is_chat: bool = True
    """False for the continuation of a plain text."""
    thinking: bool | None = None
    """Whether thinking was switched on; None is the model's default."""
    has_tools: bool = False
    """Whether the caller gave tools, so that calls between tags are calls and not text."""


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What the bytes of one reply depend on, and hashes of these bytes."""

    weights: str
    """SHA-256 of the weights."""
    adapter: str
    """SHA-256 of the weights of the adapter; "" for none."""
    tokenizer: str
    """SHA-256 of the tokenizer's files, the chat format included."""
    build: Json
    """Hash of the source code, version of torch, number of threads, weight format."""
    is_batch_invariant: bool | None
    """Whether the reply's bits are promised to be independent of other requests."""
    requests: tuple[AnsweredRequest, ...]
    reason: str
    """Why the reply ended."""
    message_sha256: str
    """Hash of the reply: thinking, text and tool calls (`message_sha256`)."""
    n_cut: int = 0
    """Messages of the conversation that did not fit into the context."""
    seconds: float = 0.0
    """From the request to the end of the reply."""

    def to_json(self, is_full: bool) -> Json:
        """Return the JSON form; a full receipt can be replayed."""
        return {
            "format": FORMAT,
            "weights": self.weights,
            "adapter": self.adapter,
            "tokenizer": self.tokenizer,
            "build": self.build,
            "batch_invariant": self.is_batch_invariant,
            "requests": [_request_to_json(answered, is_full) for answered in self.requests],
            "reason": self.reason,
            "message_sha256": self.message_sha256,
            "messages_cut": self.n_cut,
            "seconds": round(self.seconds, 3),
        }

    @classmethod
    def from_json(cls, data: Json) -> Receipt:
        """Read a full receipt; InputError for anything else."""
        try:
            if data["format"] != FORMAT:
                raise _unreadable(f"its format is {data['format']!r}, and this version reads 1")
            if any("request" not in item for item in data["requests"]):
                raise _unreadable("it holds only hashes of the prompt and the reply")
            return cls(
                weights=data["weights"],
                adapter=data["adapter"],
                tokenizer=data["tokenizer"],
                build=data["build"],
                is_batch_invariant=data["batch_invariant"],
                requests=tuple(_request_from_json(item) for item in data["requests"]),
                reason=data["reason"],
                message_sha256=data["message_sha256"],
                n_cut=data["messages_cut"],
                seconds=data["seconds"],
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise _unreadable(f"it lacks a field, or one has another type ({error})") from None


def ids_sha256(token_ids: Sequence[int]) -> str:
    """Return the SHA-256 of token ids, written as a JSON list."""
    content = json.dumps(list(token_ids), separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()


def message_sha256(message: Message) -> str:
    """Return the SHA-256 of what a reply says: its thinking, its text and its tool calls."""
    calls = [[call.name, call.arguments] for call in message.tool_calls]
    content = json.dumps([message.thinking, message.text, calls], ensure_ascii=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _request_to_json(answered: AnsweredRequest, is_full: bool) -> Json:
    request = answered.request
    short = {
        "prompt_tokens": len(request.token_ids),
        "prompt_sha256": ids_sha256(request.token_ids),
        "cached_tokens": answered.n_cached,
        "completion_tokens": len(answered.token_ids),
        "completion_sha256": ids_sha256(answered.token_ids),
        "seed": request.sampling.seed,
        "is_chat": answered.is_chat,
        "thinking": answered.thinking,
        "has_tools": answered.has_tools,
    }
    if not is_full:
        return short
    own = request_to_json(request)
    del own["user"]  # whose request it was decides no bits
    return {**short, "request": own, "token_ids": list(answered.token_ids)}


def _request_from_json(data: Json) -> AnsweredRequest:
    return AnsweredRequest(
        request_from_json(data["request"]),
        tuple(data["token_ids"]),
        data["cached_tokens"],
        data["is_chat"],
        data["thinking"],
        data.get("has_tools", False),
    )


def _unreadable(cause: str) -> InputError:
    return InputError(
        f"This receipt cannot be replayed: {cause}.",
        remedy='Ask for a full receipt by sending "receipt": true with the request.',
        field="receipt",
    )
