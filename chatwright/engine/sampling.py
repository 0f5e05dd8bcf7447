"""Sampling: choose one token from a row of logits, in pure functions.

    repetition -> frequency and presence -> bias -> temperature -> top-k -> top-p -> min-p -> draw

Everything is computed in float64 on a single row, so a token does not depend on the batch. Excluded
tokens get a logit of -inf. The draw inverts the cumulative distribution at a number in [0, 1) from
`philox.uniform`.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from chatwright.engine.messages import SamplingConfig


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
