"""The slow oracle: no cache, no batch, the whole text read again for every token.

The engine is proved against it. It runs the same kernels (`forward.py`), so equal means equal to the last bit. Its cost grows
with the square of the length; use the engine for everything but comparison.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from chatwright.engine.forward import Forward
from chatwright.engine.philox import uniform
from chatwright.engine.sampling import SamplingConfig, adjust, choose


@dataclass(frozen=True)
class Generated:
    token_ids: list[int]  # the stop token included, if one was sampled
    log_probs: list[float]  # of each token under the model itself, before temperature and penalties
    reason: Literal["stop", "length"]


def generate(
    forward: Forward, prompt: Sequence[int], config: SamplingConfig, stop_ids: Collection[int] = ()
) -> Generated:
    """One reply to `prompt`; `config.n`, `best_of` and `stop` are the engine's and the assistant's business."""
    assert config.temperature == 0.0 or config.seed is not None, (
        "the oracle repeats a draw, so it needs the seed"
    )
    limit = forward.config.context_length - len(prompt)
    limit = limit if config.max_tokens is None else min(limit, config.max_tokens)
    generated: list[int] = []
    log_probs: list[float] = []
    while len(generated) < limit:
        logits = next_logits(forward, [*prompt, *generated])
        adjusted = adjust(
            logits,
            config,
            torch.tensor(prompt, dtype=torch.int64),
            torch.tensor(generated, dtype=torch.int64),
        )
        token_id = choose(adjusted, config, uniform(config.seed or 0, len(prompt) + len(generated)))
        log_probs.append(float(logits.double().log_softmax(dim=-1)[token_id]))
        generated.append(token_id)
        if token_id in stop_ids:
            return Generated(generated, log_probs, "stop")
    return Generated(generated, log_probs, "length")


def next_logits(forward: Forward, token_ids: Sequence[int]) -> Tensor:
    """What the model expects after these tokens. -> (V,), on the CPU"""
    return forward.logits([token_ids], [0])[0].cpu()
