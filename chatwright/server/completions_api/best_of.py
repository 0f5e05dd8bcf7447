"""Choose the most probable of the replies that were sampled for one prompt."""

from collections.abc import Sequence
from typing import Protocol, TypeVar


class Sampled(Protocol):
    """A reply with its probability."""

    @property
    def mean_log_prob(self) -> float:
        """Mean log-probability of the sampled tokens."""
        ...


S = TypeVar("S", bound=Sampled)


def best_of(choices: Sequence[S], n: int) -> list[S]:
    """Return the `n` choices with the highest mean log-probability; all in order if there are n."""
    if len(choices) == n:
        return list(choices)
    # Sorting is stable: equally probable replies keep their order.
    return sorted(choices, key=lambda choice: choice.mean_log_prob, reverse=True)[:n]
