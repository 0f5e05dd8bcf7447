"""The Wilson score interval of a proportion, such as an accuracy.

Unlike p +- z sqrt(p(1-p)/n), it stays inside [0, 1] and has a width even at 0 or n successes, which
are frequent results of small evaluations. It assumes independent trials. Twenty questions from one
template are not independent, so their interval is too narrow.
"""

import math
from dataclasses import dataclass

from chatwright.errors import InputError


def wilson(successes: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """Compute (low, high) for `successes` out of `n`; a tie may count as half a success.

    z = 1.96 gives a 95 % interval. With n = 0 the interval is (0, 1).

    Raises:
        InputError: The counts are impossible, or z is not positive.
    """
    if n < 0 or not 0 <= successes <= n:
        reason = f"must be between 0 and n ({n})."
        raise _refused("successes", successes, reason, "Give 0 <= successes <= n.")
    if not z > 0:
        raise _refused("z", z, "must be positive.", "Use 1.96 for a 95 % interval.")
    if n == 0:
        return 0.0, 1.0
    # Wilson 1927; for example Brown, Cai & DasGupta 2001, eq. 4.
    share = successes / n
    denominator = 1 + z * z / n
    center = (share + z * z / (2 * n)) / denominator
    half_width = z / denominator * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # Rounding may leave [0, 1] at 0 and n successes.
    return max(0.0, center - half_width), min(1.0, center + half_width)


def _refused(name: str, value: float, reason: str, remedy: str) -> InputError:
    return InputError(f"{name} ({value}) {reason}", remedy=remedy, field=name, value=value)


@dataclass(frozen=True)
class Share:
    """A proportion with its number of items."""

    successes: float
    n: int
    """Number of items."""

    def __post_init__(self) -> None:
        wilson(self.successes, self.n)  # raises for impossible counts

    @property
    def value(self) -> float:
        """The proportion; NaN without items, since an empty evaluation is not a score of 0."""
        return self.successes / self.n if self.n else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval."""
        return wilson(self.successes, self.n)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.1%} ({low:.1%} to {high:.1%}, n = {self.n})"
