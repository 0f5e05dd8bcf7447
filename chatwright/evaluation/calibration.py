"""Calibration: whether a predicted probability of 0.8 is right in 80 % of the cases."""

from collections.abc import Sequence
from dataclasses import dataclass

N_BIN = 5


@dataclass(frozen=True)
class CalibrationBin:
    """The predictions with a confidence in one range."""

    low: float
    high: float
    n: int
    confidence: float
    """Mean predicted probability."""
    accuracy: float
    """Share of right predictions."""


def calibration(
    confidences: Sequence[float], outcomes: Sequence[float], n_bin: int = N_BIN
) -> list[CalibrationBin]:
    """Sort predictions of two cases into bins of equal width from 0.5 to 1, without empty ones.

    Args:
        confidences: Probability of the predicted case, from 0.5 to 1.
        outcomes: 1 for a right prediction, 0 for a wrong one, 0.5 for a tie.
        n_bin: Number of bins.
    """
    width = 0.5 / n_bin
    members: list[list[tuple[float, float]]] = [[] for _ in range(n_bin)]
    for confidence, outcome in zip(confidences, outcomes, strict=True):
        members[min(int((confidence - 0.5) / width), n_bin - 1)].append((confidence, outcome))
    return [
        CalibrationBin(
            0.5 + i * width,
            0.5 + (i + 1) * width,
            len(its),
            sum(confidence for confidence, _ in its) / len(its),
            sum(outcome for _, outcome in its) / len(its),
        )
        for i, its in enumerate(members)
        if its
    ]


def expected_calibration_error(bins: Sequence[CalibrationBin]) -> float:
    """Return the mean gap of confidence and accuracy, weighted by size (Guo et al. 2017, eq. 3)."""
    total = sum(b.n for b in bins)
    return sum(b.n / total * abs(b.accuracy - b.confidence) for b in bins)
