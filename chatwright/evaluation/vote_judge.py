"""The judge that counts people's votes: rankings of the exact replies that are compared."""

from collections.abc import Iterable, Sequence

from chatwright.conversation import Message
from chatwright.data.rows import PromptRow, RankedRow
from chatwright.evaluation.judges import Outcome
from chatwright.evaluation.win_rate import TIE

Ending = tuple[Message, ...]
Pair = tuple[tuple[Message, ...], Ending, Ending]
"""A prompt and two endings of it."""


class VoteJudge:
    """Compares two replies by the votes on them.

    Votes on a pair count as their mean: two votes for a reply and one against it are 2/3 of a win.
    The outcome of a pair without votes is unknown.
    """

    def __init__(self, rankings: Iterable[RankedRow]) -> None:
        """Take rankings of replies, by one or several raters."""
        self.votes: dict[Pair, list[float]] = {}
        raters: set[str] = set()
        for ranking in rankings:
            raters.add(ranking.rater)
            self._count(ranking)
        people = "rater" if len(raters) == 1 else "raters"
        self.name = f"votes of {len(raters)} {people}"

    @property
    def n_vote(self) -> int:
        """Number of votes on pairs; a ranking of three replies holds three."""
        return sum(len(votes) for votes in self.votes.values()) // 2

    def judge(
        self, prompts: Sequence[PromptRow], a: Sequence[Message], b: Sequence[Message]
    ) -> list[Outcome]:
        """Return the mean of the votes on each pair, and None where there are none."""
        return [
            self._outcome((prompt.messages, (first,), (second,)))
            for prompt, first, second in zip(prompts, a, b, strict=True)
        ]

    def _outcome(self, pair: Pair) -> Outcome:
        votes = self.votes.get(pair)
        return sum(votes) / len(votes) if votes else None

    def _count(self, ranking: RankedRow) -> None:
        """Count each pair of different replies in both orders."""
        ranked = list(zip(ranking.endings, ranking.ranks, strict=True))
        for i, (first, first_rank) in enumerate(ranked):
            for j, (second, second_rank) in enumerate(ranked):
                if i == j or first == second:
                    continue
                # Rank 1 is the best.
                outcome = TIE if first_rank == second_rank else float(first_rank < second_rank)
                self.votes.setdefault((ranking.prompt, first, second), []).append(outcome)
