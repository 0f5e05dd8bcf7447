"""Pairs of replies of which one was preferred, and the scores that a model gave to both."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from chatwright.data.encoded.rankings import EncodedRanking
from chatwright.evaluation.bootstrap import ratio_interval
from chatwright.evaluation.win_rate import WinRate, win_rate

ReplyScores = Sequence[Sequence[float]]
"""The score of every reply of every ranking."""


@dataclass(frozen=True)
class RankedPair:
    """A preferred reply and another one, with their scores."""

    prompt: str
    """Hash of the prompt: pairs of one prompt are not independent."""
    better: str
    worse: str
    margin: float
    """Score of the preferred reply minus that of the other one."""

    @property
    def outcome(self) -> float:
        """1 if the preferred reply has the higher score, 0.5 if the scores are equal, else 0."""
        return 0.5 if self.margin == 0 else float(self.margin > 0)


@dataclass(frozen=True)
class RankedPairs:
    """Scored pairs; their accuracy is the share in which the preferred reply scores higher."""

    pairs: Sequence[RankedPair]

    def __len__(self) -> int:
        return len(self.pairs)

    @cached_property
    def accuracy(self) -> WinRate:
        """The accuracy with its 95 % interval, from resampled prompts; equal scores count half."""
        return win_rate(list(self._by_prompt([pair.outcome for pair in self.pairs]).values()))

    def gain_over(self, other: "RankedPairs") -> tuple[float, float, float]:
        """Return (accuracy minus that of other scores of the same pairs, low, high).

        The interval pairs the outcomes, so it is sharper than the two accuracies' intervals.
        """
        outcomes = zip(self.pairs, other.pairs, strict=True)
        gains = self._by_prompt([mine.outcome - theirs.outcome for mine, theirs in outcomes])
        sums = [sum(values) for values in gains.values()]
        low, high = ratio_interval(sums, [len(values) for values in gains.values()])
        return sum(sums) / len(self), low, high

    def _by_prompt(self, values: Sequence[float]) -> dict[str, list[float]]:
        by_prompt: dict[str, list[float]] = {}
        for pair, value in zip(self.pairs, values, strict=True):
            by_prompt.setdefault(pair.prompt, []).append(value)
        return by_prompt


def ranked_pairs(rankings: Sequence[EncodedRanking], scores: ReplyScores) -> RankedPairs:
    """Return every pair that the rankings state; tied replies make none."""
    return RankedPairs(
        [
            RankedPair(
                ranking.prompt,
                ranking.texts[better],
                ranking.texts[worse],
                its_scores[better] - its_scores[worse],
            )
            for ranking, its_scores in zip(rankings, scores, strict=True)
            for better, worse in ranking.pairs()
        ]
    )


def scores_of_texts(
    rankings: Sequence[EncodedRanking], score: Callable[[str], float]
) -> list[list[float]]:
    """Return the score of every reply of every ranking, from a function of its text."""
    return [[score(text) for text in ranking.texts] for ranking in rankings]
