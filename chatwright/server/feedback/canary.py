"""A canary: a candidate answers a share of the requests until votes decide about it.

Votes are thumbs on replies. Each thumb is one trial of the model that wrote the reply. After each
vote the two shares of thumbs up are compared by confidence sequences: intervals that hold at every
number of votes at once, so looking after each vote is allowed. The canary ends when the candidate's
interval is wholly below the served model's (refused) or wholly above it (preferred).

The intervals are the stitched bounds of Howard et al. 2021 ("Time-uniform, nonparametric,
nonasymptotic confidence sequences", eq. 1) for votes in [0, 1]:

    1.7 sqrt((ln ln(2 n) + 0.72 ln(10.4 / alpha)) / n) / 2
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from typing import Literal

CanaryState = Literal["open", "refused", "preferred"]
ALPHA = 0.05
"""Largest probability that either interval ever misses the true share."""


@dataclass
class Votes:
    """Thumbs on the replies of one model."""

    n_up: int = 0
    n: int = 0

    @property
    def share(self) -> float:
        """Share of thumbs up; 0.5 without votes."""
        return self.n_up / self.n if self.n else 0.5

    def interval(self, alpha: float) -> tuple[float, float]:
        """Return an interval that holds the true share at every number of votes at once."""
        if not self.n:
            return 0.0, 1.0
        spread = math.log(math.log(2 * max(self.n, 2))) + 0.72 * math.log(10.4 / alpha)
        radius = 1.7 * math.sqrt(spread / self.n) / 2
        return max(self.share - radius, 0.0), min(self.share + radius, 1.0)


@dataclass
class Canary:
    """The votes on a candidate and on the served model. Every thread may use it."""

    candidate: str
    """SHA-256 of the candidate's weights."""
    served: str
    """SHA-256 of the served model's weights."""
    share: float
    """Share of the requests that the candidate answers, above 0 and below 1."""
    alpha: float = ALPHA
    state: CanaryState = "open"
    votes: dict[str, Votes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.votes = {self.served: Votes(), self.candidate: Votes()}
        self._lock = threading.Lock()
        self._n_request = 0

    def takes_next(self) -> bool:
        """Whether the candidate answers the next request.

        Of every 1 / share requests in a row, one goes to the candidate.
        """
        with self._lock:
            self._n_request += 1
            before, now = (self._n_request - 1) * self.share, self._n_request * self.share
            return self.state == "open" and math.floor(now) > math.floor(before)

    def vote(self, weights: str, is_up: bool) -> CanaryState:
        """Count a thumb on a reply of these weights; return the state after it."""
        with self._lock:
            if self.state == "open" and weights in self.votes:
                counted = self.votes[weights]
                counted.n += 1
                counted.n_up += is_up
                self.state = self._decide()
            return self.state

    def metrics(self) -> dict[str, float | int | str]:
        """Return the counts behind the state, for the registry."""
        counts: dict[str, float | int | str] = {"canary": self.state, "share": self.share}
        for name, weights in (("served", self.served), ("candidate", self.candidate)):
            votes = self.votes[weights]
            low, high = votes.interval(self.alpha / 2)
            counts |= {
                f"{name}_votes": votes.n,
                f"{name}_up": votes.share,
                f"{name}_low": low,
                f"{name}_high": high,
            }
        return counts

    def _decide(self) -> CanaryState:
        low, high = self.votes[self.candidate].interval(self.alpha / 2)
        served_low, served_high = self.votes[self.served].interval(self.alpha / 2)
        if high < served_low:
            return "refused"
        return "preferred" if low > served_high else "open"
