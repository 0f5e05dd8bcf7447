"""A session of rating: which prompt is shown, in which order, and what the rater decides.

    session = RatingSession(candidates, log, "ann")
    session.rank([2, 1])    # the reply shown as 2 is better; the next prompt is current
    session.undo()          # as if it had never been ranked

Every decision is in the log before the next prompt is shown. Prompts that this rater has ranked
before are left out, so a session continues where the last one stopped; skipped prompts come again.
The order of the replies is random, but the same whenever this rater sees the prompt.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from chatwright.conversation import Message
from chatwright.data.feedback_log import FeedbackLog, read_log
from chatwright.data.preferences import Correction, Feedback, Ranking, RatedReply
from chatwright.errors import InputError
from chatwright.pipeline.collect import Candidates

Clock = Callable[[], datetime]


def now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class _Decision:
    """A step that can be undone: the prompt it was about, and what was written."""

    position: int
    feedback: Feedback | None
    """None for a skipped prompt."""


class RatingSession:
    """The prompts that one rater still has to rank."""

    def __init__(
        self, candidates: Sequence[Candidates], log: FeedbackLog, rater: str, clock: Clock = now
    ) -> None:
        """Leave out what the rater has ranked before.

        Args:
            candidates: Prompts with replies; those with equal replies are left out.
            log: Where decisions are appended.
            rater: Name of the person.
            clock: Returns the time, with its time zone.
        """
        self.log = log
        self.rater = rater
        self.clock = clock
        self.reason = ""
        """The reason for the next ranking."""
        ranked = _ranked_before(log, rater)
        different = [item for item in candidates if item.are_different]
        self.candidates = [item for item in different if _key(item) not in ranked]
        self.n_before = len(different) - len(self.candidates)
        """Number of the prompts that this rater ranked in earlier sessions."""
        self.position = 0
        self.n_correction = 0
        self._decisions: list[_Decision] = []

    @property
    def is_finished(self) -> bool:
        """Whether no prompt is left."""
        return self.position >= len(self.candidates)

    @property
    def n_ranked(self) -> int:
        """Number of prompts ranked in this session."""
        return sum(isinstance(decision.feedback, Ranking) for decision in self._decisions)

    @property
    def current(self) -> Candidates:
        """The prompt to rank now."""
        assert not self.is_finished, "there is no prompt left"
        return self.candidates[self.position]

    @property
    def order(self) -> tuple[int, ...]:
        """The replies in the order of the screen, as indices; unknown to the rater."""
        replies = self.current.replies
        key = " ".join(reply.message.text for reply in replies)
        rng = random.Random(f"rating-order {self.rater} {key}")
        return tuple(rng.sample(range(len(replies)), len(replies)))

    @property
    def shown(self) -> tuple[RatedReply, ...]:
        """The replies in the order of the screen."""
        return tuple(self.current.replies[index] for index in self.order)

    def rank(self, shown_ranks: Sequence[int], are_all_bad: bool = False) -> None:
        """Rank the current replies, given the rank of each in the order of the screen."""
        ranks = [0] * len(shown_ranks)
        for index, rank in zip(self.order, shown_ranks, strict=True):
            ranks[index] = rank
        self._write(
            Ranking(
                prompt=self.current.prompt,
                rater=self.rater,
                time=self.clock(),
                reason=self.reason,
                replies=self.current.replies,
                ranks=tuple(ranks),
                are_all_bad=are_all_bad,
            )
        )
        self.reason = ""
        self.position += 1

    def tie(self, are_all_bad: bool = False) -> None:
        """Prefer none of the replies."""
        self.rank([1] * len(self.current.replies), are_all_bad)

    def skip(self) -> None:
        """Go to the next prompt without a decision."""
        self._decisions.append(_Decision(self.position, None))
        self.position += 1

    def correct(self, number: int, text: str) -> None:
        """Write a better reply than the one shown as `number`; the prompt stays to be ranked."""
        if not text.strip():
            raise InputError("The better reply is empty.", field="correction")
        self._write(
            Correction(
                prompt=self.current.prompt,
                rater=self.rater,
                time=self.clock(),
                reply=self.shown[number - 1],
                better=Message("assistant", text.strip()),
            )
        )
        self.n_correction += 1

    def undo(self) -> None:
        """Take back the last decision of this session, and show its prompt again.

        Raises InputError if there is none, or if someone else wrote to the log since.
        """
        if not self._decisions:
            raise InputError("There is nothing to undo in this session.", field="undo")
        decision = self._decisions[-1]
        if decision.feedback is not None and not self.log.remove_last(decision.feedback):
            raise InputError(
                "The last decision can no longer be undone: the log has grown since.",
                field="undo",
            )
        self._decisions.pop()
        self.n_correction -= isinstance(decision.feedback, Correction)
        self.position = decision.position
        self.reason = ""

    def _write(self, feedback: Feedback) -> None:
        self.log.append(feedback)
        self._decisions.append(_Decision(self.position, feedback))


def _key(item: Candidates) -> tuple[tuple[Message, ...], frozenset[RatedReply]]:
    return item.prompt, frozenset(item.replies)


def _ranked_before(log: FeedbackLog, rater: str) -> set[object]:
    if not log.path.exists():
        return set()
    return {
        _key(Candidates(item.prompt, item.replies))
        for item in read_log(log.path).feedback
        if isinstance(item, Ranking) and item.rater == rater
    }
