"""Repeat a reply from its receipt, and compare every token and the text.

The engine gives the same bits whatever else it generates, so a reply can be repeated alone, with
another cache, or under load. If a token differs, the report names the first one, and what differs
between the receipt and this machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chatwright.chat.receipt import AnsweredRequest, Receipt, ids_sha256, message_sha256
from chatwright.chat.reply_stream import ReplyStream
from chatwright.chat.vocabulary import vocabulary_of
from chatwright.conversation import Message
from chatwright.engine.messages import (
    AnyEngine,
    Request,
    RequestFinished,
    RequestId,
    TokenSampled,
)
from chatwright.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class Replay:
    """The result of repeating one reply."""

    n_token: int
    """Number of tokens in the receipt."""
    differences: tuple[str, ...]
    """Each difference in a sentence; empty if every byte is the same."""
    causes: tuple[str, ...]
    """What differs between the receipt and this model, tokenizer and build."""

    @property
    def is_same(self) -> bool:
        """Whether every token and the text are the same."""
        return not self.differences


def replay(
    receipts: Sequence[Receipt],
    engine: AnyEngine,
    tokenizer: Tokenizer,
    present: Mapping[str, Any],
) -> list[Replay]:
    """Repeat replies, as many together as the engine has slots.

    A reply is one request to the engine, and one more for each tool that was run during the reply.

    Args:
        receipts: Full receipts: those with the token ids of prompts and replies.
        engine: An engine with the model that may have replied. Nobody else steps it.
        tokenizer: Its tokenizer.
        present: What this machine has, under the receipt's names: weights, tokenizer, build; and
            the hashes of the adapters by name.
    """
    requests = [answered.request for receipt in receipts for answered in receipt.requests]
    if any(request.constraint is not None for request in requests):
        engine.set_vocabulary(vocabulary_of(tokenizer))
    limits = [len(answered.token_ids) for receipt in receipts for answered in receipt.requests]
    sampled = iter(_sample(engine, requests, limits))
    results = []
    for receipt in receipts:
        events = [next(sampled) for _ in receipt.requests]
        differences = _token_differences(receipt, events)
        if not differences:
            differences = _message_differences(receipt, events, tokenizer)
        n_token = sum(len(answered.token_ids) for answered in receipt.requests)
        results.append(Replay(n_token, tuple(differences), causes(receipt, present)))
    return results


def causes(receipt: Receipt, present: Mapping[str, Any]) -> tuple[str, ...]:
    """List what differs between a receipt and what this machine has."""
    wanted = {
        "weights": receipt.weights,
        "adapter": receipt.adapter,
        "tokenizer": receipt.tokenizer,
        **receipt.build,
    }
    found = {
        "weights": present["weights"],
        "adapter": present.get("adapters", {"": ""}).get(receipt.requests[-1].request.adapter),
        "tokenizer": present["tokenizer"],
        **present["build"],
    }
    return tuple(
        f"{name}: {_short(wanted.get(name))} in the receipt, {_short(found.get(name))} here"
        for name in sorted({*wanted, *found})
        if wanted.get(name) != found.get(name)
    )


def _sample(
    engine: AnyEngine, requests: Sequence[Request], limits: Sequence[int]
) -> list[list[TokenSampled]]:
    """Return the tokens of each request, at most one more than `limits` allows."""
    sampled: list[list[TokenSampled]] = [[] for _ in requests]
    live: dict[RequestId, int] = {}
    n_next = 0
    while n_next < len(requests) or live:
        while n_next < len(requests) and len(live) < engine.n_slot:
            live[engine.submit(requests[n_next])] = n_next
            n_next += 1
        for event in engine.step():
            number = live.get(event.request_id)
            if number is None:
                continue
            if isinstance(event, TokenSampled):
                sampled[number].append(event)
                if len(sampled[number]) > limits[number]:
                    engine.cancel(event.request_id)  # the reply ended here, by a stop text
            if isinstance(event, RequestFinished):
                del live[event.request_id]
    return sampled


def _token_differences(receipt: Receipt, sampled: Sequence[list[TokenSampled]]) -> list[str]:
    found = []
    for number, (answered, events) in enumerate(zip(receipt.requests, sampled, strict=True), 1):
        ids = [event.token_id for event in events][: len(answered.token_ids)]
        if ids_sha256(ids) == ids_sha256(answered.token_ids):
            continue
        same = [a == b for a, b in zip(ids, answered.token_ids, strict=False)]
        position = same.index(False) if False in same else len(same)
        found.append(
            f"request {number} of {len(receipt.requests)}: token {position + 1} of "
            f"{len(answered.token_ids)} differs"
            if position < min(len(ids), len(answered.token_ids))
            else f"request {number}: {len(ids)} tokens instead of {len(answered.token_ids)}"
        )
    return found


def _message_differences(
    receipt: Receipt, sampled: Sequence[list[TokenSampled]], tokenizer: Tokenizer
) -> list[str]:
    message = _decode(receipt.requests[-1], sampled[-1], tokenizer)
    if message_sha256(message) == receipt.message_sha256:
        return []
    return ["the tokens are the same, but the text decoded from them differs"]


def _decode(
    answered: AnsweredRequest, events: Sequence[TokenSampled], tokenizer: Tokenizer
) -> Message:
    """Decode the tokens of a reply as they were decoded when it was sampled."""
    request = answered.request
    stream = ReplyStream(
        tokenizer,
        request.sampling,
        len(request.token_ids),
        answered.is_chat,
        thinking=answered.thinking,
        has_tools=answered.has_tools,
    )
    for event in events[: len(answered.token_ids)]:
        list(stream.take(event))
    list(stream.take(RequestFinished(RequestId(""), 0, "length")))
    assert stream.finished is not None, "the stream has read the end of the request"
    return stream.finished.message


def _short(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return f"{text[:12]}..." if len(text) > 20 else text
