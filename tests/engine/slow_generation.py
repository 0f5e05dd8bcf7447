"""Slow generation: no cache and no batch; the whole text is computed again for every token.

Tests compare the engine with it. Both use the same kernels (`forward.py`), so results must be
bit-identical.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from chatwright.engine.engine import Engine
from chatwright.engine.forward import Forward
from chatwright.engine.messages import SamplingConfig
from chatwright.engine.philox import uniform
from chatwright.engine.sampling import adjust_logits, choose_token
from chatwright.engine.sequence import Sequence as EngineSequence


@dataclass(frozen=True)
class Generated:
    """A reply."""

    token_ids: list[int]
    """Token ids of the reply, with the stop token if one was sampled."""
    log_probs: list[float]
    """Log-probability of each token, before temperature and penalties."""
    reason: Literal["stop", "length"]


def generate(
    forward: Forward,
    prompt: Sequence[int],
    config: SamplingConfig,
    stop_ids: Collection[int] = (),
    banned_ids: Collection[int] = (),
) -> Generated:
    """Generate one reply; `config.n`, `best_of` and `stop` are ignored."""
    assert config.temperature == 0.0 or config.seed is not None, "sampling needs a seed"
    limit = forward.config.context_length - len(prompt)
    limit = limit if config.max_tokens is None else min(limit, config.max_tokens)
    generated: list[int] = []
    log_probs: list[float] = []
    banned = torch.tensor(sorted(banned_ids), dtype=torch.int64)
    while len(generated) < limit:
        logits = next_logits(forward, [*prompt, *generated])
        ids = [torch.tensor(token_ids, dtype=torch.int64) for token_ids in (prompt, generated)]
        adjusted = adjust_logits(logits, config, *ids, banned)
        u = uniform(config.seed or 0, len(prompt) + len(generated))
        token_id = choose_token(adjusted, config, u)
        log_probs.append(float(logits.double().log_softmax(dim=-1)[token_id]))
        generated.append(token_id)
        if token_id in stop_ids:
            return Generated(generated, log_probs, "stop")
    return Generated(generated, log_probs, "length")


def next_logits(forward: Forward, token_ids: Sequence[int]) -> Tensor:
    """Compute the logits after these tokens. -> (V,) on the CPU."""
    return forward.logits([token_ids], [0])[0].cpu()


@contextmanager
def observed_logits(
    engine: Engine, callback: Callable[[EngineSequence, Tensor], None]
) -> Iterator[None]:
    """Call `callback` with each sequence and its logits (V,) before it samples."""
    sample = engine._sample

    def observed(sequences: list[EngineSequence], logits: Tensor) -> None:
        for sequence, row in zip(sequences, logits, strict=True):
            callback(sequence, row)
        sample(sequences, logits)

    engine._sample = observed  # type: ignore[method-assign]
    try:
        yield
    finally:
        engine._sample = sample  # type: ignore[method-assign]
