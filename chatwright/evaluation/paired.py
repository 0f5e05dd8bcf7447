"""Compare two models on the same items by their right and wrong answers.

Both models answer the same items, so only the items on which they differ carry information. A
paired test is therefore much sharper than two separate intervals.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

SIGNIFICANT = 0.05
"""A difference with a smaller p-value is called shown."""


@dataclass(frozen=True)
class PairedScores:
    """Right answers of two models to the same items."""

    n: int
    n_right_before: int
    n_gained: int
    """Items that only the second model answers rightly."""
    n_lost: int
    """Items that only the first model answers rightly."""

    @property
    def before(self) -> float:
        """Share of right answers of the first model."""
        return self.n_right_before / self.n

    @property
    def after(self) -> float:
        """Share of right answers of the second model."""
        return (self.n_right_before + self.n_gained - self.n_lost) / self.n

    @property
    def difference(self) -> float:
        """`after - before`."""
        return (self.n_gained - self.n_lost) / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the difference.

        Bonett & Price 2012, eq. 4: Wald's interval with one gained and one lost item added, so n
        grows by 2. It has a width even if no item changed.
        """
        gained, lost = (self.n_gained + 1) / (self.n + 2), (self.n_lost + 1) / (self.n + 2)
        difference = gained - lost
        half_width = 1.96 * math.sqrt((gained + lost - difference**2) / (self.n + 2))
        return max(-1.0, difference - half_width), min(1.0, difference + half_width)

    @property
    def p_value(self) -> float:
        """Two-sided p-value of McNemar's exact test (McNemar 1947): a fair coin for each change."""
        n_changed = self.n_gained + self.n_lost
        smaller = min(self.n_gained, self.n_lost)
        tail = sum(math.comb(n_changed, k) for k in range(smaller + 1))
        return min(1.0, 2 * tail / 2**n_changed)

    @property
    def is_worse(self) -> bool:
        """Whether the second model answers fewer items rightly, by more than chance explains."""
        return self.difference < 0 and self.p_value < SIGNIFICANT


def paired_scores(before: Sequence[bool], after: Sequence[bool]) -> PairedScores:
    """Count what changed between two models' answers to the same items, in the same order."""
    assert len(before) == len(after) > 0, "both models answer the same items, at least one"
    pairs = list(zip(before, after, strict=True))
    return PairedScores(
        n=len(pairs),
        n_right_before=sum(before),
        n_gained=sum(is_right and not was_right for was_right, is_right in pairs),
        n_lost=sum(was_right and not is_right for was_right, is_right in pairs),
    )
