"""Requests to the engine and its events: plain data, without torch.

The engine may run in another process, so both have JSON forms (`engine/message_codec.py`). The web
application imports this module and not torch.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NewType, Protocol

from chatwright.engine.vocabulary import Vocabulary
from chatwright.errors import InputError

RequestId = NewType("RequestId", str)
Reason = Literal["stop", "length", "canceled", "failed"]
Refusal = Literal["", "invalid", "full", "user_full"]

MIN_SEED, MAX_SEED = -(2**63), 2**64 - 1
"""Seeds have 64 bits, signed or unsigned."""
MAX_ALTERNATIVES = 20
MAX_TEMPERATURE = 2.0
MAX_REPETITION_PENALTY = 10.0
MIN_TEMPERATURE = 1e-5
"""A lower temperature counts as 0: the logits divided by it would overflow, or nearly so."""


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How the tokens of a reply are chosen. The defaults draw from the model's own distribution."""

    temperature: float = 1.0
    """Divisor of the logits. 0, or less than MIN_TEMPERATURE: always the largest logit's token."""
    top_k: int = 0
    """Keep the k most probable tokens. 0: off."""
    top_p: float = 1.0
    """Keep the smallest set of tokens that reaches this probability. 1: off."""
    min_p: float = 0.0
    """Keep tokens whose probability is at least this share of the highest one. 0: off."""
    typical_p: float = 1.0
    """Keep the tokens of most typical surprisal that reach this probability. 1: off."""
    frequency_penalty: float = 0.0
    """Subtracted from a token's logit for each time it was generated."""
    presence_penalty: float = 0.0
    """Subtracted once from the logit of every token that was generated."""
    repetition_penalty: float = 1.0
    """For tokens in the prompt or reply: divisor of positive logits, factor of negative. 1: off."""
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    """Numbers added to the logits, by token id."""
    stop: tuple[str, ...] = ()
    """Texts that end the reply. `chat/assistant.py` watches for them; the engine sees ids only."""
    seed: int | None = None
    """Seed of the random numbers. None: the engine draws one."""
    n: int = 1
    """Number of replies."""
    best_of: int | None = None
    """Number of replies to generate; the n with the highest mean log-probability are returned."""
    max_tokens: int | None = None
    """Longest reply, in tokens. None: as long as the context allows."""
    top_log_probs: int = 0
    """Number of most probable tokens to report with each sampled one."""
    heads_off: tuple[tuple[int, int], ...] = ()
    """Attention heads whose outputs are set to 0, each as (layer, head), counted from 0."""

    def __post_init__(self) -> None:
        _check_range("temperature", self.temperature, 0.0, MAX_TEMPERATURE)
        if self.temperature < MIN_TEMPERATURE:
            object.__setattr__(self, "temperature", 0.0)
        _check_range("top_k", self.top_k, 0, None)
        _check_range("top_p", self.top_p, 0.0, 1.0, excludes_low=True)
        _check_range("min_p", self.min_p, 0.0, 1.0)
        _check_range("typical_p", self.typical_p, 0.0, 1.0, excludes_low=True)
        _check_range("frequency_penalty", self.frequency_penalty, -2.0, 2.0)
        _check_range("presence_penalty", self.presence_penalty, -2.0, 2.0)
        penalty = self.repetition_penalty
        _check_range("repetition_penalty", penalty, 0.0, MAX_REPETITION_PENALTY, excludes_low=True)
        _check_range("seed", self.seed, MIN_SEED, MAX_SEED)
        _check_range("n", self.n, 1, None)
        _check_range("best_of", self.best_of, self.n, None, low_name=f"n ({self.n})")
        _check_range("max_tokens", self.max_tokens, 1, None)
        _check_range("top_log_probs", self.top_log_probs, 0, MAX_ALTERNATIVES)
        for token_id, bias in self.logit_bias.items():
            _check_range(f"logit_bias[{token_id}]", bias, -100.0, 100.0)
            _check_range("logit_bias: token id", token_id, 0, None)
        if isinstance(self.stop, str) or any(not text for text in self.stop):
            raise InputError(
                f"stop = {self.stop!r} is not a list of non-empty texts.",
                remedy='Write a list, for example ["END"].',
                field="stop",
                value=self.stop,
            )

    @property
    def n_generated(self) -> int:
        """Number of replies to generate."""
        return self.best_of or self.n

    @property
    def has_repetition_penalty(self) -> bool:
        """Whether the prompt's tokens change the logits."""
        return self.repetition_penalty != 1.0

    @property
    def has_penalty(self) -> bool:
        """Whether the tokens generated so far change the logits."""
        penalties = (self.frequency_penalty, self.presence_penalty)
        return self.has_repetition_penalty or any(penalties)


def _check_range(
    name: str,
    value: Any,
    low: float,
    high: float | None,
    excludes_low: bool = False,
    low_name: str = "",
) -> None:
    """Check that a number is in its range; None is allowed. `low_name` explains `low`."""
    if value is None:
        return
    is_number = isinstance(value, int | float) and value == value and abs(value) != float("inf")
    is_high_enough = is_number and (value > low if excludes_low else value >= low)
    is_low_enough = is_number and (high is None or value <= high)
    if is_high_enough and is_low_enough:
        return
    allowed = f"above {low_name or low}" if excludes_low else f"at least {low_name or low}"
    if high is not None:
        allowed += f" and at most {high}"
    raise InputError(
        f"{name} = {value!r} must be {allowed}.",
        remedy="Change the value, or leave the setting out.",
        field=name,
        value=value,
    )


JSON_STYLE: Mapping[str, Any] = MappingProxyType(
    {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
)
"""How constrained replies write JSON, as options of llguidance: without free white space."""


@dataclass(frozen=True)
class Constraint:
    """What the text of a reply may be. The engine samples only tokens that follow it.

    A reply that is not complete within `max_tokens` ends with reason "length".
    """

    kind: Literal["json_schema", "regex", "lark"]
    """How `source` is written."""
    source: str
    """A JSON schema as JSON, a regular expression, or a grammar in the notation of llguidance.

    A grammar is Lark's with additions; it names a control token by its id: <[7]>.
    """


@dataclass(frozen=True)
class Request:
    """A prompt and how to continue it."""

    token_ids: Sequence[int]
    """The prompt."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """How tokens are chosen."""
    stop_ids: Collection[int] = ()
    """Token ids that end the reply. The sampled one is kept as the reply's last token."""
    banned_ids: Collection[int] = ()
    """Token ids that are never sampled, such as those that the tokenizer does not use."""
    scores_prompt: bool = False
    """Whether the log-probabilities of the prompt's tokens are reported, by `PromptScored`."""
    is_sampled: bool = True
    """False: the prompt is read, and nothing is sampled. The reply ends with reason "length"."""
    constraint: Constraint | None = None
    """What the reply may be; None: any text."""
    adapter: str = ""
    """Name of a loaded adapter (`Engine.load_adapter`); "" for the model itself."""
    user: str = ""
    """Whose request it is. Users take turns when slots are scarce, and share no cached prompts."""


@dataclass(frozen=True)
class TokenScore:
    """A token of a prompt with its log-probability after the tokens before it."""

    token_id: int
    log_prob: float
    alternatives: tuple[tuple[int, float], ...] = ()
    """The most probable tokens with their log-probabilities, most probable first."""


@dataclass(frozen=True)
class PromptScored:
    """The prompt of a reply has been read. Comes before the reply's first token."""

    request_id: RequestId
    index: int
    """Which of the request's n replies."""
    scores: tuple[TokenScore, ...]
    """The prompt's tokens but the first, which has no token before it."""


@dataclass(frozen=True)
class TokenSampled:
    """A new token of a reply.

    Log-probabilities are the model's own, before temperature and penalties.
    """

    request_id: RequestId
    index: int
    """Which of the request's n replies."""
    token_id: int
    log_prob: float
    alternatives: tuple[tuple[int, float], ...] = ()
    """The most probable tokens with their log-probabilities, most probable first."""


@dataclass(frozen=True)
class RequestFinished:
    """One of a request's replies has ended."""

    request_id: RequestId
    index: int
    """Which of the request's n replies."""
    reason: Reason
    is_last: bool = True
    """Whether all n replies have ended."""
    error: str = ""
    """With reason "failed": the cause."""
    n_cached: int = 0
    """Number of the prompt's tokens whose keys and values came from an earlier request."""
    refusal: Refusal = ""
    """Why an engine in another process did not take the request; "" if it did.

    `refused` makes the exception of it.
    """


Event = PromptScored | TokenSampled | RequestFinished


def new_request_id() -> RequestId:
    """Draw 128 random bits from the system, so that nobody can guess the id."""
    return RequestId(secrets.token_hex(16))


class EngineFull(Exception):
    """The queue is full. Nothing of the request was kept; submit it again later."""


class UserQueueFull(EngineFull):
    """This user's part of the queue is full; other users are still served."""


class EngineUnavailable(Exception):
    """The engine's process is not there at the moment; it is being started again."""


class PromptTooLong(InputError):
    """The prompt and the reply do not fit into the context."""


def refusal_of(error: InputError | EngineFull) -> Refusal:
    """Return the kind of an error of `submit`, to be reported from another process."""
    if isinstance(error, InputError):
        return "invalid"
    return "user_full" if isinstance(error, UserQueueFull) else "full"


def refused(event: RequestFinished) -> Exception | None:
    """Return the error of `submit` that the end of a request reports; None if it was taken."""
    match event.refusal:
        case "invalid":
            return ValueError(event.error)  # an InputError, whose parts are joined
        case "full":
            return EngineFull(event.error)
        case "user_full":
            return UserQueueFull(event.error)
        case _:
            return None


class AnyEngine(Protocol):
    """An engine, in this process (`engine.Engine`) or in another one."""

    @property
    def vocab_size(self) -> int:
        """Number of token ids that the model knows."""
        ...

    @property
    def context_length(self) -> int:
        """Longest text in tokens, prompt and reply together."""
        ...

    @property
    def n_slot(self) -> int:
        """Number of replies that are generated together."""
        ...

    @property
    def batch_dependence_reason(self) -> str:
        """Why a reply's bits may depend on the other requests in the batch; "" if they do not."""
        ...

    @property
    def has_work(self) -> bool:
        """Whether `step` has something to do or to report."""
        ...

    def set_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Give the bytes of the tokens, once, before the first request with a constraint."""
        ...

    def submit(self, request: Request) -> RequestId:
        """Put a request into the queue; InputError or EngineFull if the engine refuses it."""
        ...

    def cancel(self, request_id: RequestId) -> None:
        """End a request; an unknown or finished one is ignored."""
        ...

    def step(self) -> list[Event]:
        """Advance all replies by one step; return what happened, in order."""
        ...
