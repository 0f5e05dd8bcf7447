"""The win rate of one model over another, with a 95 % interval.

    win_rate([[1, 0.5], [0, 1]]).value == 0.625    # two prompts with two comparisons each

An outcome is 1 for a win, 0.5 for a tie and 0 for a loss. All comparisons count equally. The
interval comes from resampled prompts (`bootstrap`), because replies to one prompt resemble each
other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chatwright.errors import InputError
from chatwright.evaluation.bootstrap import ratio_interval
from chatwright.evaluation.interval import wilson

TIE = 0.5
EVEN = 0.5
"""The win rate of two equally good models."""


@dataclass(frozen=True)
class WinRate:
    """A win rate with its interval and counts."""

    value: float
    """Share of won comparisons; a tie is half a win."""
    low: float
    high: float
    n_prompt: int
    n_comparison: int
    n_tie: int

    @property
    def tie_rate(self) -> float:
        """Share of the comparisons that are ties."""
        return self.n_tie / self.n_comparison

    def reversed(self) -> "WinRate":
        """Return the win rate of the other model."""
        return WinRate(
            1 - self.value,
            1 - self.high,
            1 - self.low,
            self.n_prompt,
            self.n_comparison,
            self.n_tie,
        )

    def as_metrics(self) -> dict[str, Any]:
        """Return the values by name, the first with the bounds of its interval."""
        return {
            "win_rate": self.value,
            "low": self.low,
            "high": self.high,
            "tie_rate": self.tie_rate,
            "prompts": self.n_prompt,
            "comparisons": self.n_comparison,
        }

    def __str__(self) -> str:
        return (
            f"{self.value:.1%} ({self.low:.1%} to {self.high:.1%}, ties {self.tie_rate:.1%}, "
            f"{self.n_prompt} prompts, {self.n_comparison} comparisons)"
        )


def win_rate(outcomes: Sequence[Sequence[float]], seed: int = 0) -> WinRate:
    """Compute the win rate from the outcomes by prompt; prompts without outcomes do not count.

    Raises:
        InputError: There is no outcome, or one is not between 0 and 1.
    """
    judged = [list(by_prompt) for by_prompt in outcomes if by_prompt]
    flat = [outcome for by_prompt in judged for outcome in by_prompt]
    wrong = [outcome for outcome in flat if not 0 <= outcome <= 1]
    if wrong:
        raise _refused(wrong[0], "is not between 0 (lost) and 1 (won)", "Give 0.5 for a tie.")
    if not flat:
        raise _refused(0, "are missing: nothing was judged", "Give at least one outcome.")
    value = sum(flat) / len(flat)
    low, high = _interval(judged, value, seed)
    return WinRate(value, low, high, len(judged), len(flat), sum(x == TIE for x in flat))


def _interval(judged: list[list[float]], value: float, seed: int) -> tuple[float, float]:
    if value in (0.0, 1.0):
        # Resampling nothing but wins has no spread. Wilson's interval of the prompts has a width.
        return wilson(value * len(judged), len(judged))
    sums = [sum(by_prompt) for by_prompt in judged]
    return ratio_interval(sums, [len(by_prompt) for by_prompt in judged], seed)


def _refused(value: float, problem: str, remedy: str) -> InputError:
    return InputError(f"Outcomes: {value} {problem}.", remedy=remedy, field="outcomes", value=value)
