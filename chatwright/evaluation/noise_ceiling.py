"""How often raters agree about the same two replies, and the accuracy that their noise allows.

If each judgment is wrong with probability e, independently, two judgments of a pair agree with
probability a = e^2 + (1 - e)^2. A perfect model then agrees with one judgment in the share
1 - e = (1 + sqrt(2 a - 1)) / 2 of the pairs. No model can be expected to do better.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from chatwright.data.encoded.rankings import EncodedRanking


@dataclass(frozen=True)
class NoiseCeiling:
    """The agreement of two judgments of the same pair of replies."""

    n_pair: int
    """Pairs of replies that were judged more than once."""
    agreement: float
    """Probability that two judgments of one pair agree; NaN without such pairs."""

    @property
    def accuracy(self) -> float:
        """The accuracy of a perfect model; NaN if it cannot be measured, 0.5 for pure noise."""
        return largest_accuracy(self.agreement)


def largest_accuracy(agreement: float) -> float:
    """Return the largest accuracy that a perfect judge can have against single raters.

    If some pairs are harder than others, the accuracy is lower (Jensen's inequality), so this is an
    upper bound. NaN if the agreement is NaN.
    """
    if math.isnan(agreement):
        return math.nan
    return (1 + math.sqrt(max(0.0, 2 * agreement - 1))) / 2


def noise_ceiling(rankings: Sequence[EncodedRanking]) -> NoiseCeiling:
    """Measure the agreement on all pairs of replies that several rankings state."""
    judgments: dict[tuple[str, str, str], list[bool]] = {}
    for ranking in rankings:
        for better, worse in ranking.pairs():
            first, second = sorted((ranking.texts[better], ranking.texts[worse]))
            is_first_better = ranking.texts[better] == first
            judgments.setdefault((ranking.prompt, first, second), []).append(is_first_better)
    repeated = [
        votes for (_, first, second), votes in judgments.items() if first != second and votes[1:]
    ]
    if not repeated:
        return NoiseCeiling(0, math.nan)
    return NoiseCeiling(len(repeated), sum(map(_agreement, repeated)) / len(repeated))


def _agreement(votes: Sequence[bool]) -> float:
    """Return the share of agreeing votes among all pairs of votes."""
    n, n_yes = len(votes), sum(votes)
    n_no = n - n_yes
    return (n_yes * (n_yes - 1) + n_no * (n_no - 1)) / (n * (n - 1))
