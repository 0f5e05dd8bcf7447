"""Feedback on replies: rankings, thumbs and corrections, each with the person who gave it.

    Ranking      the order of K replies to one prompt; a pair is a ranking with K = 2
    Thumb        one reply was good, or not
    Correction   one reply, and a better one, written by the rater

Every reply is kept exactly as the model wrote it, with the hash of the weights that wrote it.
"""

from dataclasses import dataclass, field
from datetime import datetime

from chatwright.conversation import Message
from chatwright.data.rows import (
    ChatRow,
    CorrectionRow,
    Location,
    PreferenceRow,
    RankedRow,
    ThumbRow,
    ordered_pairs,
)
from chatwright.errors import InputError

NO_LOCATION = Location("feedback")


@dataclass(frozen=True)
class RatedReply:
    """A reply that was rated."""

    message: Message
    weights: str = ""
    """SHA-256 of the weights that wrote the reply; "" if they are not known."""


@dataclass(frozen=True, kw_only=True)
class Rating:
    """The fields that all feedback has."""

    prompt: tuple[Message, ...]
    """The conversation that the replies answer."""
    rater: str
    """Name of the person or of the program that gave the feedback."""
    time: datetime
    """When the feedback was given, with its time zone."""
    is_simulated: bool = False
    """Whether a program gave the feedback, by rules."""
    reason: str = ""
    """The rater's reason, in words."""
    location: Location = field(default=NO_LOCATION, compare=False)

    def __post_init__(self) -> None:
        if not self.prompt:
            raise _refused("prompt", "", "is empty", "Give at least one message.")
        if not self.rater:
            raise _refused("rater", self.rater, "is empty", "Give the name of the rater.")
        if self.time.tzinfo is None:
            raise _refused("time", self.time, "has no time zone", "Write for example +00:00.")


@dataclass(frozen=True, kw_only=True)
class Ranking(Rating):
    """The order of two or more replies to one prompt."""

    replies: tuple[RatedReply, ...]
    ranks: tuple[int, ...]
    """One rank per reply; 1 is the best, and equal ranks are a tie."""
    are_all_bad: bool = False
    """Whether the rater found none of the replies acceptable."""
    right_ranks: tuple[int, ...] = ()
    """The known right ranks, so that the ranking measures the rater; () if there are none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.replies) < 2:
            raise _refused("replies", len(self.replies), "are too few", "Rank at least two.")
        _require_ranks("ranks", self.ranks, len(self.replies))
        if self.is_gold:
            _require_ranks("right_ranks", self.right_ranks, len(self.replies))

    @property
    def is_gold(self) -> bool:
        """Whether the right ranks are known, so that this ranking measures the rater."""
        return bool(self.right_ranks)

    @property
    def is_tie(self) -> bool:
        """Whether all replies have the same rank, so that the ranking prefers none."""
        return len(set(self.ranks)) == 1

    def pairs(self) -> list[tuple[int, int]]:
        """Return (better, worse) for every pair of replies with different ranks, as indices."""
        return ordered_pairs(self.ranks)

    def right_pairs(self) -> list[tuple[int, int]]:
        """Return (better, worse) as the right ranks of a gold question order them."""
        return ordered_pairs(self.right_ranks)


@dataclass(frozen=True, kw_only=True)
class Thumb(Rating):
    """A judgment of one reply."""

    reply: RatedReply
    is_up: bool


@dataclass(frozen=True, kw_only=True)
class Correction(Rating):
    """A reply, and a better one, written by the rater."""

    reply: RatedReply
    better: Message


Feedback = Ranking | Thumb | Correction


def feedback_row(feedback: Feedback) -> RankedRow | ThumbRow | CorrectionRow:
    """Return a piece of feedback as a row of training data."""
    prompt, location = feedback.prompt, feedback.location
    if isinstance(feedback, Ranking):
        endings = tuple((reply.message,) for reply in feedback.replies)
        return RankedRow(prompt, endings, feedback.ranks, feedback.rater, location)
    reply = (feedback.reply.message,)
    if isinstance(feedback, Thumb):
        return ThumbRow(prompt, reply, feedback.is_up, location)
    return CorrectionRow(prompt, reply, (feedback.better,), feedback.rater, location)


def preference_rows(feedback: Feedback) -> list[PreferenceRow]:
    """Return the pairs that a piece of feedback states; thumbs and ties state none."""
    row = feedback_row(feedback)
    if isinstance(row, ThumbRow):
        return []
    return (row.ranking() if isinstance(row, CorrectionRow) else row).pairs()


def correction_conversation(correction: Correction) -> ChatRow:
    """Return the conversation that ends with the better reply; only that reply is learned."""
    row = feedback_row(correction)
    assert isinstance(row, CorrectionRow)
    return row.conversation()


def _require_ranks(name: str, ranks: tuple[int, ...], n_reply: int) -> None:
    if len(ranks) != n_reply or min(ranks) < 1:
        raise _refused(
            name,
            list(ranks),
            f"do not fit the {n_reply} replies",
            "Give one rank from 1 (best) for each reply; equal ranks are a tie.",
        )


def _refused(name: str, value: object, reason: str, remedy: str) -> InputError:
    return InputError(f"{name} {reason}.", remedy=remedy, field=name, value=value)
