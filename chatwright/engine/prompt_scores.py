"""Log-probabilities of a prompt's own tokens, computed while the prompt is read.

They are the model's own, in float64 from the logits, exactly as those of sampled tokens. On a CPU
in float32 the score of a token is bit-identical to the one it has when it is sampled after the same
tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from chatwright.engine.forward import Forward
from chatwright.engine.messages import TokenScore
from chatwright.engine.sampling import most_probable

ROWS = 32
"""Positions whose logits are computed together, which bounds the memory that they take."""


@torch.no_grad()
def score_tokens(
    forward: Forward, hidden: Tensor, targets: Sequence[int], n_alternative: int = 0
) -> list[TokenScore]:
    """Score each target with the hidden state of the token before it.

    Args:
        forward: The prepared model.
        hidden: (N, D) or longer; row i predicts target i.
        targets: N token ids.
        n_alternative: Number of most probable tokens to report with each target.

    Raises:
        RuntimeError: The model's output is not finite.
    """
    scores: list[TokenScore] = []
    for start in range(0, len(targets), ROWS):
        ids = targets[start : start + ROWS]
        logits = forward.head(hidden[start : start + len(ids)]).cpu()  # (R, V)
        if not logits.isfinite().all():
            raise RuntimeError("the model's output is not finite")
        for token_id, row in zip(ids, logits, strict=True):
            log_probs = row.double().log_softmax(dim=-1)  # (V,), as of a sampled token
            alternatives = most_probable(log_probs, n_alternative)
            scores.append(TokenScore(token_id, float(log_probs[token_id]), alternatives))
    return scores
