"""From logits to one token: every step a pure function on one row of numbers.

    repetition -> frequency and presence -> bias -> temperature -> top-k -> top-p -> min-p -> inverse CDF

All of it runs in float64 on a single row, so a token's choice cannot depend on the batch. A function that removes tokens sets
them to -inf and leaves the others as they are. The draw itself is a number in [0, 1) from `philox.uniform`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from chatwright.engine.philox import MAX_SEED, MIN_SEED

MAX_ALTERNATIVES = 20


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """What a request may choose about its reply. The defaults draw from the model's own distribution."""

    temperature: float = 1.0  # 0 always takes the most probable token
    top_k: int = 0  # 0 is off
    top_p: float = 1.0  # 1 is off
    min_p: float = 0.0  # 0 is off
    frequency_penalty: float = 0.0  # taken off a token's logit for each time it was generated
    presence_penalty: float = 0.0  # taken off once if it was generated at all
    repetition_penalty: float = (
        1.0  # divides the logits of tokens in prompt or reply (Keskar et al. 2019); 1 is off
    )
    logit_bias: Mapping[int, float] = field(default_factory=dict)  # token id -> added to its logit
    stop: tuple[
        str, ...
    ] = ()  # texts that end the reply; watched by chat/assistant.py, the engine knows no text
    seed: int | None = None  # None draws one, and the reply says which
    n: int = 1  # replies to give
    best_of: int | None = (
        None  # replies to make; the n with the highest mean log-probability are given
    )
    max_tokens: int | None = None  # None is as many as the context holds
    top_log_probs: int = 0  # alternatives to report with each token

    def __post_init__(self) -> None:
        _check("temperature", self.temperature, 0.0, 100.0)
        _check("top_k", self.top_k, 0, None)
        _check("top_p", self.top_p, 0.0, 1.0, above=True)
        _check("min_p", self.min_p, 0.0, 1.0)
        _check("frequency_penalty", self.frequency_penalty, -2.0, 2.0)
        _check("presence_penalty", self.presence_penalty, -2.0, 2.0)
        _check("repetition_penalty", self.repetition_penalty, 0.0, 100.0, above=True)
        _check("seed", self.seed, MIN_SEED, MAX_SEED)
        _check("n", self.n, 1, None)
        _check(
            "best_of", self.best_of, self.n, None, remedy=f"best_of must be at least n ({self.n})"
        )
        _check("max_tokens", self.max_tokens, 1, None)
        _check("top_log_probs", self.top_log_probs, 0, MAX_ALTERNATIVES)
        for token_id, bias in self.logit_bias.items():
            _check(f"logit_bias[{token_id}]", bias, -100.0, 100.0)
            _check("logit_bias: token id", token_id, 0, None)
        if isinstance(self.stop, str) or any(not text for text in self.stop):
            raise ValueError(f"stop = {self.stop!r}: give a list of texts, none of them empty")

    @property
    def n_made(self) -> int:
        return self.best_of or self.n


def _check(
    name: str,
    value: Any,
    low: float | None,
    high: float | None,
    above: bool = False,
    remedy: str = "",
) -> None:
    if value is None:
        return
    good = isinstance(value, int | float) and value == value and abs(value) != float("inf")
    good = (
        good
        and (low is None or (value > low if above else value >= low))
        and (high is None or value <= high)
    )
    if not good:
        span = (f"above {low}" if above else f"at least {low}") + (
            f" and at most {high}" if high is not None else ""
        )
        raise ValueError(
            f"{name} = {value!r}: {remedy or f'it must be {span}'}. Correct the value or leave it out."
        )


def repetition(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Tokens already seen lose ground: positive logits are divided, negative ones multiplied. (V,), (N,) -> (V,)"""
    logits = logits.clone()
    old = logits[seen]
    logits[seen] = torch.where(old > 0, old / penalty, old * penalty)
    return logits


def frequency_and_presence(
    logits: Tensor, generated: Tensor, frequency: float, presence: float
) -> Tensor:
    """logit - frequency * count - presence * (count > 0), counting generated tokens only. (V,), (N,) -> (V,)"""
    counts = torch.bincount(generated, minlength=len(logits))
    return logits - frequency * counts - presence * (counts > 0)


def biased(logits: Tensor, bias: Mapping[int, float]) -> Tensor:
    ids = torch.tensor(list(bias), dtype=torch.int64, device=logits.device)
    return logits.index_add(
        0, ids, torch.tensor(list(bias.values()), dtype=logits.dtype, device=logits.device)
    )


def top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the k largest, and what ties with the last of them."""
    if k >= len(logits):
        return logits
    return logits.masked_fill(logits < logits.topk(k).values[-1], float("-inf"))


def top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the smallest set of most probable tokens that reaches p (Holtzman et al. 2020); of equals the lower id comes first."""
    ordered, ids = logits.sort(descending=True, stable=True)
    probs = ordered.softmax(dim=-1)
    before = probs.cumsum(dim=-1) - probs  # what the tokens ahead of each one reach
    return logits.index_fill(0, ids[1:][before[1:] >= p], float("-inf"))  # the first always stays


def min_p(logits: Tensor, p: float) -> Tensor:
    """Keep tokens at least p times as probable as the most probable one."""
    return logits.masked_fill((logits - logits.max()).exp() < p, float("-inf"))


def inverse_cdf(logits: Tensor, u: float) -> int:
    """The token in whose share of [0, 1) the number u falls, shares laid out in the order of ids."""
    probs = logits.softmax(dim=-1)
    cdf = probs.cumsum(dim=-1)
    chosen = int(torch.searchsorted(cdf, float(cdf[-1]) * u, right=True))
    if chosen < len(probs):
        return chosen
    return int(probs.nonzero()[-1])  # u times the total was rounded up to the total


def adjust(
    logits: Tensor,
    config: SamplingConfig,
    prompt: Tensor,
    generated: Tensor,
    banned_ids: Tensor | None = None,
) -> Tensor:
    """Apply every step between the model's logits and the draw. (V,) -> (V,) float64

    Temperature 0 is left to `choose`. Ids in `banned_ids` get a probability of 0.
    """
    logits = logits.double()
    if config.repetition_penalty != 1.0:
        logits = repetition(logits, torch.cat([prompt, generated]), config.repetition_penalty)
    if config.frequency_penalty or config.presence_penalty:
        logits = frequency_and_presence(
            logits, generated, config.frequency_penalty, config.presence_penalty
        )
    if config.logit_bias:
        logits = biased(logits, config.logit_bias)
    if banned_ids is not None:
        # Before top-k and top-p: these must choose among the ids that may be sampled.
        logits = logits.index_fill(0, banned_ids, float("-inf"))
    if config.temperature == 0.0:
        return logits
    logits = logits / config.temperature
    if config.top_k:
        logits = top_k(logits, config.top_k)
    if config.top_p < 1.0:
        logits = top_p(logits, config.top_p)
    if config.min_p > 0.0:
        logits = min_p(logits, config.min_p)
    return logits


def choose(logits: Tensor, config: SamplingConfig, u: float) -> int:
    """One token from adjusted logits. Greedy takes the lowest id among equals."""
    return int(logits.argmax()) if config.temperature == 0.0 else inverse_cdf(logits, u)
