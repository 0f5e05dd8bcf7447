"""The fields that /v1/chat/completions and /v1/completions share, and their limits."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from chatwright.engine.messages import (
    MAX_REPETITION_PENALTY,
    MAX_SEED,
    MAX_TEMPERATURE,
    SamplingConfig,
)
from chatwright.server.request_body.request_parser import ShortText, Strict

N_DRAWN_SEEDS = 2**53
"""Seeds are drawn from integers that JavaScript holds exactly, so that a page can send one back."""

SETTINGS = (
    *("temperature", "top_p", "top_k", "min_p", "typical_p"),
    *("frequency_penalty", "presence_penalty", "repetition_penalty"),
)
"""The fields that are settings of `SamplingConfig`, under the same names."""

StopText = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Index = Annotated[int, Field(ge=0, le=1_000_000)]
HeadName = Annotated[list[Index], Field(min_length=2, max_length=2)]
"""Layer and number of a head."""
TokenIdText = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,8}$")]


class StreamOptions(Strict):
    """Options of a streamed response."""

    include_usage: bool = False
    include_obfuscation: bool = False
    """Ignored: responses are not padded."""


class SamplingRequest(Strict):
    """How replies are sampled and sent."""

    model: ShortText
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=8)] = 1
    best_of: Annotated[int, Field(ge=1, le=8)] | None = None
    """Number of replies to sample; the n most probable are returned. OpenAI's for texts only."""
    temperature: Annotated[float, Field(ge=0, le=MAX_TEMPERATURE)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    logit_bias: Annotated[
        dict[TokenIdText, Annotated[float, Field(ge=-100, le=100)]] | None, Field(max_length=1024)
    ] = None
    receipt: bool = False
    """Whether the receipt of each reply holds token ids, so that it can be replayed."""
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: StopText | Annotated[list[StopText], Field(max_length=4)] | None = None
    # Not OpenAI's; other servers use the same names.
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    typical_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    repetition_penalty: Annotated[float, Field(gt=0, le=MAX_REPETITION_PENALTY)] = 1.0
    # Not of any other server.
    heads_off: Annotated[list[HeadName], Field(max_length=10_000)] = Field(default_factory=list)
    """Attention heads that are switched off for this reply, each as [layer, head]."""
    # Ignored: they have no influence on the reply, and nothing is stored.
    user: ShortText = ""
    safety_identifier: ShortText = ""
    prompt_cache_key: ShortText = ""
    store: bool = False
    metadata: Annotated[
        dict[Annotated[str, StringConstraints(max_length=64)], ShortText] | None,
        Field(max_length=16),
    ] = None
    service_tier: Literal["auto", "default"] = "auto"

    @model_validator(mode="after")
    def stream_options_need_a_stream(self) -> SamplingRequest:
        """Refuse options without the option they need."""
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options needs stream: true")
        return self

    @model_validator(mode="after")
    def best_of_fits(self) -> SamplingRequest:
        """Refuse fewer replies than are returned, and a stream of the best replies."""
        if self.best_of is not None and self.best_of < self.n:
            raise ValueError("best_of must be at least n")
        if self.stream and self.n_generated > self.n:
            raise ValueError("the best replies are known at the end: leave out stream or best_of")
        return self

    @property
    def n_generated(self) -> int:
        """Number of replies to sample for each prompt, of which the n best are returned."""
        return self.n if self.best_of is None else self.best_of

    @property
    def with_usage(self) -> bool:
        """Whether a stream ends with the token counts."""
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop texts."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def token_limit(self) -> int | None:
        """Maximum number of tokens in a reply; None for no limit."""
        raise NotImplementedError

    @property
    def n_alternative(self) -> int:
        """Number of most probable tokens to return with each token."""
        raise NotImplementedError

    def first_seed(self) -> int:
        """Return the seed of the first reply; it is drawn if the request has none."""
        if self.seed is None:
            return secrets.randbelow(N_DRAWN_SEEDS)
        return self.seed % (MAX_SEED + 1)

    def sampling(
        self, index: int, seed: int, defaults: Mapping[str, float] = MappingProxyType({})
    ) -> SamplingConfig:
        """Return the sampling settings of reply `index`, whose seed is `seed` + `index`.

        `defaults` are the model's settings for what the request leaves out.
        """
        given: dict[str, Any] = {
            name: defaults[name]
            if name in defaults and name not in self.model_fields_set
            else getattr(self, name)
            for name in SETTINGS
        }
        return SamplingConfig(
            **given,
            logit_bias={int(id_): bias for id_, bias in (self.logit_bias or {}).items()},
            stop=self.stops,
            seed=(seed + index) % (MAX_SEED + 1),
            max_tokens=self.token_limit,
            top_log_probs=self.n_alternative,
            heads_off=tuple(sorted({(layer, head) for layer, head in self.heads_off})),
        )
