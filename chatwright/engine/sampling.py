"""Sampling: choose one token from a row of logits, in pure functions.

    repetition -> frequency and presence -> bias -> temperature
        -> top-k -> top-p -> min-p -> typical-p -> draw

Everything is computed in float64. Excluded tokens get a logit of -inf. The draw inverts the
cumulative distribution at a number in [0, 1) from `philox.uniform`.

`sample_token` defines the result for one reply. `batched_sampling` computes the same bits for all
replies of a step at once.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from chatwright.engine.messages import SamplingConfig
from chatwright.engine.philox import uniform

NO_TOKENS = torch.empty(0, dtype=torch.int64)


@dataclass(frozen=True)
class Draw:
    """What the choice of a reply's next token depends on, beside the logits."""

    config: SamplingConfig
    prompt_ids: Tensor
    """(N,), the prompt; read only if `config.has_repetition_penalty`."""
    generated_ids: Tensor
    """(N,), the reply; read only if `config.has_penalty`."""
    banned_ids: Tensor
    """(N,), token ids that are never sampled."""
    key: tuple[int, int, int]
    """What `philox.uniform` takes: seed, position, index of the reply."""


class Sampled(NamedTuple):
    """A chosen token. The log-probabilities are the model's own."""

    token_id: int
    log_prob: float
    alternatives: tuple[tuple[int, float], ...] = ()
    """The most probable tokens with their log-probabilities, most probable first."""


def sample_token(logits: Tensor, draw: Draw, number: float | None = None) -> Sampled:
    """Choose the next token of one reply from its logits (V,).

    `number` is the reply's `uniform`, if it is computed already.
    """
    adjusted = adjust_logits(
        logits, draw.config, draw.prompt_ids, draw.generated_ids, draw.banned_ids
    )
    number = uniform(*draw.key) if number is None else number
    token_id = choose_token(adjusted, draw.config, number)
    log_probs = logits.double().log_softmax(dim=-1)
    alternatives = most_probable(log_probs, draw.config.top_log_probs)
    return Sampled(token_id, float(log_probs[token_id]), alternatives)


def most_probable(log_probs: Tensor, count: int) -> tuple[tuple[int, float], ...]:
    """Return the ids and log-probabilities of the most probable tokens, given (V,)."""
    if not count:
        return ()
    best = log_probs.topk(min(count, len(log_probs)))
    return tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))


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
    counts = torch.bincount(generated, minlength=len(logits)).double()
    return logits - frequency * counts - presence * (counts > 0).double()


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
    ordered, ids = logits.softmax(dim=-1).sort(descending=True, stable=True)
    preceding = ordered.cumsum(dim=-1)[:-1]  # probability of all tokens before the second, ...
    excluded = ids[1:][preceding >= p]  # the most probable token always stays
    return logits.index_fill(0, excluded, float("-inf"))


def min_p(logits: Tensor, p: float) -> Tensor:
    """Keep tokens at least p times as probable as the most probable one. (V,) -> (V,)."""
    return logits.masked_fill(logits - logits.max() < math.log(p), float("-inf"))


def typical_p(logits: Tensor, p: float) -> Tensor:
    """Keep the most typical tokens that reach p together (Meister et al. 2022, eq. 7).

    A token is the more typical the closer its surprisal, -log probability, is to the entropy of the
    distribution. Among equally typical tokens the lower id comes first. (V,) -> (V,).
    """
    log_probs = logits.log_softmax(dim=-1)
    probs = log_probs.exp()
    entropy = -(probs * log_probs).nan_to_num(0.0).sum()  # 0 * -inf is NaN
    ids = (-log_probs - entropy).abs().argsort(stable=True)
    preceding = probs[ids].cumsum(dim=-1)[:-1]
    excluded = ids[1:][preceding >= p]
    return logits.index_fill(0, excluded, float("-inf"))


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

    Temperature 0 skips the temperature and the filters (top-k, top-p, min-p, typical-p).

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
    if config.typical_p < 1.0:
        logits = typical_p(logits, config.typical_p)
    return logits


def choose_token(logits: Tensor, config: SamplingConfig, u: float) -> int:
    """Choose one token from adjusted logits; at temperature 0 the lowest id among the largest."""
    return int(logits.argmax()) if config.temperature == 0.0 else inverse_cdf(logits, u)
