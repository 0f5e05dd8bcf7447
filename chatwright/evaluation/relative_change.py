"""The relative change of a sum over the same items, with its 95 % interval."""

from collections.abc import Sequence
from dataclasses import dataclass

from chatwright.evaluation.bootstrap import ratio_interval


@dataclass(frozen=True)
class RelativeChange:
    """The change of a sum, relative to its first value, with its 95 % interval."""

    value: float
    low: float
    high: float


def relative_change(before: Sequence[float], after: Sequence[float]) -> RelativeChange:
    """Return sum(after) / sum(before) - 1, with an interval from resampled pairs.

    With the negative log-likelihoods of the same texts under two models, this is the relative
    change of bits per byte: both divide by the same bytes.
    """
    assert len(before) == len(after) > 0, "both models score the same texts, at least one"
    low, high = ratio_interval(after, before)
    return RelativeChange(sum(after) / sum(before) - 1, low - 1, high - 1)
