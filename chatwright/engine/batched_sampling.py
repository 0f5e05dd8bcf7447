"""Draw the next tokens of many replies at once, bit for bit as one by one.

Only replies that are drawn from the model's own distribution, at any temperature above 0, are
drawn together: those of training, and most others. Penalties and filters are applied row by row
(`sampling.py`). The softmax and the cumulative sums of a row do not depend on the other rows.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from chatwright.engine.messages import SamplingConfig
from chatwright.engine.philox import uniforms
from chatwright.engine.sampling import last_possible


def is_plain(config: SamplingConfig) -> bool:
    """Whether a reply is drawn without penalties, biases, filters and alternatives."""
    return (
        config.temperature > 0.0
        and not config.has_penalty
        and not config.logit_bias
        and not config.top_k
        and config.top_p == 1.0
        and config.min_p == 0.0
        and not config.top_log_probs
    )


def draw_tokens(
    logits: Tensor,
    temperatures: Sequence[float],
    banned_ids: Sequence[Tensor],
    keys: Sequence[tuple[int, int, int]],
) -> tuple[list[int], list[float]]:
    """Return a token for each row and its log-probability under the model.

    Args:
        logits: (N, V), those of the model, on the CPU.
        temperatures: N divisors of the logits.
        banned_ids: For each row, the ids that are never drawn, (any number,).
        keys: For each row, what `philox.uniform` takes: seed, position, index of the reply.
    """
    wide = logits.double()
    adjusted = wide
    if any(len(ids) for ids in banned_ids):
        adjusted = wide.clone()
        for row, ids in zip(adjusted, banned_ids, strict=True):
            row[ids] = float("-inf")
    if any(temperature != 1.0 for temperature in temperatures):
        adjusted = adjusted / torch.tensor(temperatures, dtype=torch.float64)[:, None]
    probs = adjusted.softmax(dim=-1)
    cdf = probs.cumsum(dim=-1)
    seeds, positions, samples = zip(*keys, strict=True)
    thresholds = cdf[:, -1] * uniforms(seeds, positions, samples)  # (N,)
    drawn = torch.searchsorted(cdf, thresholds[:, None], right=True)[:, 0].tolist()
    tokens = [
        token if token < logits.shape[1] else last_possible(probs[row])
        for row, token in enumerate(drawn)
    ]
    log_probs = wide.log_softmax(dim=-1).gather(1, torch.tensor(tokens)[:, None])[:, 0]
    return tokens, log_probs.tolist()
