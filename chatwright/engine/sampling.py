"""Sampling: choose one token from a row of logits, in pure functions.

    repetition -> frequency and presence -> bias -> temperature -> top-k -> top-p -> min-p -> draw

Everything is computed in float64 on a single row, so a token does not depend on the batch. Excluded
tokens get a logit of -inf. The draw inverts the cumulative distribution at a number in [0, 1) from
`philox.uniform`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from chatwright.engine.philox import MAX_SEED, MIN_SEED
from chatwright.errors import InputError

MAX_ALTERNATIVES = 20


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How the tokens of a reply are chosen. The defaults draw from the model's own distribution."""

    temperature: float = 1.0
    """Divisor of the logits. 0: always the token with the largest logit."""
    top_k: int = 0
    """Keep the k most probable tokens. 0: off."""
    top_p: float = 1.0
    """Keep the smallest set of tokens that reaches this probability. 1: off."""
    min_p: float = 0.0
    """Keep tokens whose probability is at least this share of the highest one. 0: off."""
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

    def __post_init__(self) -> None:
        _check_range("temperature", self.temperature, 0.0, 100.0)
        _check_range("top_k", self.top_k, 0, None)
        _check_range("top_p", self.top_p, 0.0, 1.0, excludes_low=True)
        _check_range("min_p", self.min_p, 0.0, 1.0)
        _check_range("frequency_penalty", self.frequency_penalty, -2.0, 2.0)
        _check_range("presence_penalty", self.presence_penalty, -2.0, 2.0)
        _check_range("repetition_penalty", self.repetition_penalty, 0.0, 100.0, excludes_low=True)
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


def apply_repetition_penalty(logits: Tensor, token_ids: Tensor, penalty: float) -> Tensor:
    """Divide positive logits of these tokens and multiply negative ones (Keskar et al. 2019).

    (V,), (N,) -> (V,).
    """
    logits = logits.clone()
    old = logits[token_ids]
    logits[token_ids] = torch.where(old > 0, old / penalty, old * penalty)
    return logits


def apply_frequency_and_presence_penalty(
    logits: Tensor, generated: Tensor, frequency: float, presence: float
) -> Tensor:
    """Compute logit - frequency * count - presence * (count > 0). (V,), (N,) -> (V,).

    Only generated tokens are counted, not those of the prompt.
    """
    counts = torch.bincount(generated, minlength=len(logits))
    return logits - frequency * counts - presence * (counts > 0)


def add_bias(logits: Tensor, bias: Mapping[int, float]) -> Tensor:
    """Add the numbers in `bias`, by token id, to the logits. (V,) -> (V,)."""
    ids = torch.tensor(list(bias), dtype=torch.int64, device=logits.device)
    values = torch.tensor(list(bias.values()), dtype=logits.dtype, device=logits.device)
    return logits.index_add(0, ids, values)


def top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the k largest logits, and logits equal to the smallest of these. (V,) -> (V,)."""
    if k >= len(logits):
        return logits
    return logits.masked_fill(logits < logits.topk(k).values[-1], float("-inf"))


def top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the smallest set of most probable tokens that reaches p (Holtzman et al. 2020).

    Among equally probable tokens the lower id comes first. (V,) -> (V,).
    """
    ordered, ids = logits.sort(descending=True, stable=True)
    probs = ordered.softmax(dim=-1)
    preceding = probs.cumsum(dim=-1) - probs  # probability of all more probable tokens
    excluded = ids[1:][preceding[1:] >= p]  # the most probable token always stays
    return logits.index_fill(0, excluded, float("-inf"))


def min_p(logits: Tensor, p: float) -> Tensor:
    """Keep tokens at least p times as probable as the most probable one. (V,) -> (V,)."""
    return logits.masked_fill((logits - logits.max()).exp() < p, float("-inf"))


def inverse_cdf(logits: Tensor, u: float) -> int:
    """Return the first token whose cumulative probability, in the order of ids, exceeds u."""
    probs = logits.softmax(dim=-1)
    cdf = probs.cumsum(dim=-1)
    token_id = int(torch.searchsorted(cdf, float(cdf[-1]) * u, right=True))
    if token_id < len(probs):
        return token_id
    return last_possible(probs)  # u times the total was rounded up to the total


def last_possible(probs: Tensor) -> int:
    """Return the largest id with a probability above 0."""
    return int(probs.nonzero()[-1])


def adjust_logits(
    logits: Tensor,
    config: SamplingConfig,
    prompt: Tensor,
    generated: Tensor,
    banned_ids: Tensor | None = None,
) -> Tensor:
    """Apply bans, penalties, bias, temperature and filters. (V,) -> (V,) in float64.

    Temperature 0 skips the temperature and the filters (top-k, top-p, min-p).

    Args:
        logits: (V,), those of the model.
        config: Which adjustments apply.
        prompt: (N,), the prompt's token ids; only read if `config.has_repetition_penalty`.
        generated: (N,), the reply's token ids; only read if `config.has_penalty`.
        banned_ids: (N,), token ids that are never sampled.
    """
    if banned_ids is not None:
        # Before top-k and top-p, which choose among the ids that may be sampled.
        logits = logits.index_fill(0, banned_ids, float("-inf"))
    logits = logits.double()
    if config.has_repetition_penalty:
        token_ids = torch.cat([prompt, generated])
        logits = apply_repetition_penalty(logits, token_ids, config.repetition_penalty)
    if config.frequency_penalty or config.presence_penalty:
        logits = apply_frequency_and_presence_penalty(
            logits, generated, config.frequency_penalty, config.presence_penalty
        )
    if config.logit_bias:
        logits = add_bias(logits, config.logit_bias)
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


def choose_token(logits: Tensor, config: SamplingConfig, u: float) -> int:
    """Choose one token from adjusted logits; at temperature 0 the lowest id among the largest."""
    return int(logits.argmax()) if config.temperature == 0.0 else inverse_cdf(logits, u)
