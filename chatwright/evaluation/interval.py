"""The Wilson score interval: how far a share measured on n trials may lie from the true one.

Unlike the textbook p +- z sqrt(p(1-p)/n) it stays inside [0, 1] and does not collapse to a point at 0 or n successes,
which is where a small evaluation usually ends. It assumes independent trials; twenty questions made from one template
are not twenty trials, and the interval will then be too narrow.
"""

import math
from dataclasses import dataclass


def wilson(successes: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """(low, high) for `successes` out of `n`; halves are allowed (a tie counts half). z = 1.96 is 95 %.

    With n = 0 nothing is known, and the answer is the whole range (0, 1).
    """
    if n < 0 or not 0 <= successes <= n:
        raise ValueError(f"successes ({successes}) must lie between 0 and n ({n})")
    if not z > 0:
        raise ValueError(f"z ({z}) must be positive; 1.96 gives a 95 % interval")
    if n == 0:
        return 0.0, 1.0
    # Wilson 1927; e.g. Brown, Cai & DasGupta 2001, eq. 4.
    share = successes / n
    denominator = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / denominator
    half_width = z / denominator * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # Rounding may step a hair outside at 0 and n successes.
    return max(0.0, centre - half_width), min(1.0, centre + half_width)


@dataclass(frozen=True)
class Share:
    """A share with the count it rests on."""

    successes: float
    n: int

    def __post_init__(self) -> None:
        wilson(self.successes, self.n)  # refuses impossible counts

    @property
    def value(self) -> float:
        """NaN when there was nothing to count: an empty evaluation is not a bad score."""
        return self.successes / self.n if self.n else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.successes, self.n)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.1%} ({low:.1%} to {high:.1%}, n = {self.n})"
