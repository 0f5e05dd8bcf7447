"""The length-controlled win rate: what remains of a win rate at equal lengths.

Many judges prefer long replies. As in AlpacaEval 2 (Dubois et al. 2024, eq. 1), a logistic
regression predicts the outcome from the difference of the lengths d:

    P(win) = sigmoid(quality + length * tanh(d / std(d)))

The length-controlled win rate is the prediction at d = 0, sigmoid(quality). AlpacaEval also has a
term for the difficulty of each prompt, which needs the outcomes of many models.

A weak penalty on `length` keeps the regression finite for a judge that looks at nothing else. If
nearly all replies of one model are the longer ones, their length and their quality cannot be
separated, and there is no result.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chatwright.evaluation.bootstrap import percentiles, resample

MIN_SHARE = 0.05
"""Share of the replies that must be no longer than the other, and that must be no shorter."""
PENALTY = 1.0
"""Half of this times length**2 is added to the summed loss."""
N_RESAMPLE = 500
MAX_STEPS = 100
TOLERANCE = 1e-9


@dataclass(frozen=True)
class LengthControlled:
    """A length-controlled win rate with its 95 % interval."""

    value: float
    low: float
    high: float

    def reversed(self) -> "LengthControlled":
        """Return the win rate of the other model."""
        return LengthControlled(1 - self.value, 1 - self.high, 1 - self.low)

    def __str__(self) -> str:
        return f"{self.value:.1%} ({self.low:.1%} to {self.high:.1%})"


def length_controlled(
    outcomes: Sequence[Sequence[float]], differences: Sequence[Sequence[float]], seed: int = 0
) -> LengthControlled | None:
    """Compute the length-controlled win rate, or return None if lengths cannot be separated.

    Args:
        outcomes: Outcomes by prompt: 1 win, 0.5 tie, 0 loss.
        differences: In the same order, the length of the model's reply minus that of the other's.
        seed: Seed of the resampled prompts.
    """
    y = torch.tensor([x for by_prompt in outcomes for x in by_prompt], dtype=torch.float64)  # (N,)
    d = torch.tensor([x for by_prompt in differences for x in by_prompt], dtype=torch.float64)
    assert len(y) == len(d) > 0, "there must be a difference for every outcome, and at least one"
    if min(float((d <= 0).double().mean()), float((d >= 0).double().mean())) < MIN_SHARE:
        return None
    x = torch.tanh(d / d.std(correction=0)) if bool((d != d[0]).any()) else torch.zeros_like(d)
    lengths = torch.tensor([len(by_prompt) for by_prompt in outcomes])
    prompt_of = torch.repeat_interleave(torch.arange(len(outcomes)), lengths)  # (N,)
    weights = resample(len(outcomes), seed, N_RESAMPLE)[:, prompt_of]  # (R, N)
    value = float(_at_equal_lengths(x, y, torch.ones(1, len(y), dtype=torch.float64)))
    low, high = percentiles(_at_equal_lengths(x, y, weights))
    return LengthControlled(value, low, high)


def _at_equal_lengths(x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    """Fit the regression for each row of weights (R, N); return sigmoid(quality), (R,)."""
    quality = torch.zeros(len(weights), dtype=torch.float64)
    length = torch.zeros_like(quality)
    for _ in range(MAX_STEPS):  # Newton's method for all rows at once
        p = torch.sigmoid(quality[:, None] + length[:, None] * x)  # (R, N)
        error = weights * (p - y)
        curvature = weights * p * (1 - p)
        gradient_q, gradient_l = error.sum(1), error @ x + PENALTY * length
        qq, ql = curvature.sum(1) + TOLERANCE, curvature @ x
        ll = curvature @ (x * x) + PENALTY
        determinant = qq * ll - ql * ql
        step_q = (ll * gradient_q - ql * gradient_l) / determinant
        step_l = (qq * gradient_l - ql * gradient_q) / determinant
        # Steps of at most 1: without a limit, Newton's method can overshoot and diverge.
        quality = quality - step_q.clamp(-1, 1)
        length = length - step_l.clamp(-1, 1)
        if float(torch.maximum(step_q.abs(), step_l.abs()).max()) < TOLERANCE:
            break
    return torch.sigmoid(quality)
