"""Running scale of rewards and an adaptive weight of the KL divergence, both resumable."""

import math
from collections.abc import Mapping, Sequence


class RewardNormalizer:
    """Scale rewards by their running mean and standard deviation (Welford 1962).

    The values are kept in double precision and returned by `state` as JSON numbers, so a resumed
    run has the same bits.
    """

    def __init__(self, eps: float = 1e-8) -> None:
        """Begin without rewards; `eps` is the smallest standard deviation that divides."""
        self.eps = eps
        self.count = 0
        self.mean = 0.0
        self.squares = 0.0
        """Sum of squared differences from the mean."""

    @property
    def std(self) -> float:
        """Standard deviation of all rewards so far; 1 before the second one."""
        return math.sqrt(self.squares / self.count) if self.count > 1 else 1.0

    def add(self, rewards: Sequence[float]) -> None:
        """Include these rewards in mean and standard deviation."""
        for reward in rewards:
            self.count += 1
            difference = reward - self.mean
            self.mean += difference / self.count
            self.squares += difference * (reward - self.mean)

    def normalized(self, rewards: Sequence[float]) -> list[float]:
        """Return (reward - mean) / std of each; equal rewards so far give 0."""
        std = self.std
        if std < self.eps:
            return [0.0] * len(rewards)
        return [(reward - self.mean) / std for reward in rewards]

    def state(self) -> dict[str, float]:
        """Return count, mean and sum of squares."""
        return {"count": self.count, "mean": self.mean, "squares": self.squares}

    def load_state(self, state: Mapping[str, float]) -> None:
        """Continue from a state that `state` returned."""
        self.count = int(state["count"])
        self.mean = float(state["mean"])
        self.squares = float(state["squares"])


class KLController:
    """Adapt the weight of the KL divergence so that the divergence approaches a target.

    e = clip(KL / target - 1, -0.2, 0.2); beta <- beta (1 + 0.1 e)  (Ziegler et al. 2019, section
    2.2). A target of 0 keeps the weight constant.
    """

    LIMIT = 0.2
    RATE = 0.1

    def __init__(self, weight: float, target: float) -> None:
        """Begin with `weight`; `target` is in nats per reply."""
        self.weight = weight
        self.target = target

    def update(self, kl: float) -> None:
        """Adapt the weight to the measured KL divergence of a step, in nats per reply."""
        if not self.target:
            return
        error = min(max(kl / self.target - 1, -self.LIMIT), self.LIMIT)
        self.weight *= 1 + self.RATE * error

    def state(self) -> dict[str, float]:
        """Return the weight."""
        return {"weight": self.weight}

    def load_state(self, state: Mapping[str, float]) -> None:
        """Continue from a state that `state` returned."""
        self.weight = float(state["weight"])
