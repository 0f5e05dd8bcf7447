"""Rank correlation of two lists of numbers, such as cosines and scores that people gave.

Spearman's coefficient is Pearson's coefficient of the ranks, equal numbers sharing their mean rank.
Its 95 % interval comes from Fisher's z with the variance of Bonett & Wright (2000, eq. 3). Pairs
must be independent: pairs that share words are not, so the interval of a word list is too narrow.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

FEWEST = 4
"""Smallest number of pairs with an interval: the variance divides by n - 3."""


@dataclass(frozen=True)
class Correlation:
    """Spearman's coefficient of n pairs of numbers."""

    value: float
    """From -1 to 1; NaN if one of the lists is constant."""
    n: int

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval; (-1, 1) for less than FEWEST pairs or without a value."""
        if self.n < FEWEST or math.isnan(self.value):
            return -1.0, 1.0
        if abs(self.value) == 1.0:
            return self.value, self.value
        z = math.atanh(self.value)
        half_width = 1.96 * math.sqrt((1 + self.value**2 / 2) / (self.n - 3))
        return math.tanh(z - half_width), math.tanh(z + half_width)


def spearman(first: Sequence[float], second: Sequence[float]) -> Correlation:
    """Return Spearman's rank correlation of two lists of equal length."""
    assert len(first) == len(second), "every number needs a partner"
    ranks = [mean_ranks(torch.tensor(numbers, dtype=torch.double)) for numbers in (first, second)]
    return Correlation(_pearson(*ranks), len(first))


def pearson(first: Sequence[float], second: Sequence[float]) -> float:
    """Return Pearson's coefficient of two lists of equal length; NaN if one of them is constant."""
    assert len(first) == len(second), "every number needs a partner"
    x, y = (torch.tensor(numbers, dtype=torch.double) for numbers in (first, second))
    return _pearson(x, y)


def mean_ranks(numbers: Tensor) -> Tensor:
    """Return the rank of each number from 1, the mean rank for equal ones. (N,) -> (N,)."""
    _, group, count = numbers.unique(return_inverse=True, return_counts=True)
    last = count.cumsum(0)  # rank of the last member of each group
    return (last - (count - 1) / 2)[group]


def _pearson(x: Tensor, y: Tensor) -> float:
    x = x - x.mean()
    y = y - y.mean()
    return float((x * y).sum() / (x.square().sum() * y.square().sum()).sqrt())
