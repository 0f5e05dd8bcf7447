"""What is asked of the engine, and everything it knows about one reply in the making.

    QUEUED -> PREFILL -> DECODE -> DONE          and from each of the first three -> CANCELLED or FAILED

A Request is a question and never changes. A Sequence is one reply to it (a request for n replies has n) and holds all its
state: no table anywhere else is indexed by its place in the batch, so a reused place cannot remember its last tenant.
"""

import secrets
from collections.abc import Collection
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, NewType

import torch
from torch import Tensor

from chatwright.engine.philox import uniform
from chatwright.engine.sampling import SamplingConfig, adjust, choose

RequestId = NewType("RequestId", str)
Reason = Literal["stop", "length", "cancelled", "failed"]


@dataclass(frozen=True)
class Request:
    token_ids: SequenceOf[int]  # the prompt
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    stop_ids: Collection[int] = ()  # a sampled one ends the reply and is its last token
    banned_ids: Collection[int] = ()  # never sampled, such as ids without a token


@dataclass(frozen=True)
class TokenSampled:
    """`index` says which of the n replies; log-probabilities are the model's own, before temperature and penalties."""

    request_id: RequestId
    index: int
    token_id: int
    log_prob: float
    alternatives: tuple[
        tuple[int, float], ...
    ] = ()  # (token id, log-probability), the most probable first


@dataclass(frozen=True)
class RequestFinished:
    """One of the n replies has ended; `is_last` is True for the last of them."""

    request_id: RequestId
    index: int
    reason: Reason
    is_last: bool = True
    error: str = ""  # why, where the reason is "failed"


Event = TokenSampled | RequestFinished


class State(Enum):
    QUEUED = "queued"
    PREFILL = "prefill"
    DECODE = "decode"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


_MAY_BECOME: dict[State, tuple[State, ...]] = {
    State.QUEUED: (State.PREFILL, State.CANCELLED, State.FAILED),
    State.PREFILL: (State.DECODE, State.DONE, State.CANCELLED, State.FAILED),
    State.DECODE: (State.DONE, State.CANCELLED, State.FAILED),
    State.DONE: (),
    State.CANCELLED: (),
    State.FAILED: (),
}


def new_request_id() -> RequestId:
    """128 random bits from the system, so that nobody can guess another's request."""
    return RequestId(secrets.token_hex(16))


@dataclass(eq=False)
class Sequence:
    request_id: RequestId
    index: int
    prompt: SequenceOf[int]
    sampling: SamplingConfig
    seed: int
    stop_ids: frozenset[int]
    max_tokens: int
    banned_ids: Tensor = field(default_factory=lambda: _ids(()))
    state: State = State.QUEUED
    row: int | None = None  # its place in the cache while it runs
    n_read: int = 0  # tokens whose keys and values are in the cache
    generated: list[int] = field(default_factory=list)
    sum_log_prob: float = 0.0
    reason: Reason | None = None
    error: str = ""
    held: list[TokenSampled] = field(
        default_factory=list
    )  # events kept back until best_of has chosen

    def become(self, state: State) -> None:
        assert state in _MAY_BECOME[self.state], (
            f"a {self.state.value} sequence cannot become {state.value}"
        )
        self.state = state

    @property
    def is_finished(self) -> bool:
        return not _MAY_BECOME[self.state]

    @property
    def mean_log_prob(self) -> float:
        return self.sum_log_prob / len(self.generated) if self.generated else float("-inf")

    def unread(self, limit: int) -> list[int]:
        """The next tokens the model has to read, at most `limit`."""
        if self.n_read >= len(self.prompt):
            return self.generated[self.n_read - len(self.prompt) :]
        return list(self.prompt[self.n_read : self.n_read + limit])

    def take(self, logits: Tensor) -> TokenSampled:
        """Draw the next token from its logits (V,), on the CPU, and end the sequence where that token says so."""
        config = self.sampling
        adjusted = adjust(logits, config, _ids(self.prompt), _ids(self.generated), self.banned_ids)
        token_id = choose(
            adjusted, config, uniform(self.seed, len(self.prompt) + len(self.generated), self.index)
        )
        log_probs = logits.double().log_softmax(dim=-1)
        self.generated.append(token_id)
        alternatives = _most_probable(log_probs, config.top_log_probs)
        event = TokenSampled(
            self.request_id, self.index, token_id, float(log_probs[token_id]), alternatives
        )
        self.sum_log_prob += event.log_prob
        if token_id in self.stop_ids or len(self.generated) >= self.max_tokens:
            self.reason = "stop" if token_id in self.stop_ids else "length"
            self.become(State.DONE)
        elif self.state is State.PREFILL:
            self.become(State.DECODE)
        return event


def _ids(token_ids: SequenceOf[int]) -> Tensor:
    return torch.tensor(token_ids, dtype=torch.int64)


def _most_probable(log_probs: Tensor, count: int) -> tuple[tuple[int, float], ...]:
    if not count:
        return ()
    best = log_probs.topk(min(count, len(log_probs)))
    return tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))
