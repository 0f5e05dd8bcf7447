"""The report on a snapshot of feedback: counts, raters, agreement, and all that was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from chatwright.data.preferences import Feedback, Ranking
from chatwright.data.readers.feedback_json import KINDS
from chatwright.evaluation.interval import Share
from chatwright.evaluation.noise_ceiling import largest_accuracy

Reason = Literal[
    "gold question",
    "the rater fails gold questions",
    "the rater contradicts the others",
    "the rater contradicts an own answer",
    "duplicate",
    "over the rater's limit",
]
"""Why a piece of feedback is left out."""
NO_SHARE = Share(0, 0)


@dataclass(frozen=True)
class LeftOut:
    """A piece of feedback that is left out."""

    feedback: Feedback
    reason: Reason


@dataclass(frozen=True)
class RaterFigures:
    """One rater."""

    rater: str
    n: int
    """Pieces of feedback."""
    n_kept: int
    gold: Share = NO_SHARE
    """Gold questions that were answered right."""
    others: Share = NO_SHARE
    """Judgments that agree with the other raters together (`consensus.py`)."""
    is_simulated: bool = False


@dataclass(frozen=True)
class QualityReport:
    """How good the feedback of a snapshot is; it holds no text of the conversations."""

    n_of_kind: dict[str, int]
    n_kept: int
    raters: tuple[RaterFigures, ...]
    """In the order of their names."""
    left_out: tuple[LeftOut, ...]
    n_tie: int
    """Rankings whose replies all have the same rank."""
    n_all_bad: int
    """Rankings whose rater found no reply acceptable."""
    n_disputed: int
    """Items on which two raters gave opposite answers; they stay."""
    alpha: float
    """Krippendorff's alpha of all raters; NaN if no item has two raters."""
    two_raters: Share
    """How often two raters prefer the same reply."""
    one_rater: Share
    """How often a rater who judges an item again gives the same answer."""
    is_simulated: bool
    notes: tuple[str, ...] = field(default=())
    """What the figures do not say by themselves, in sentences."""

    @property
    def n(self) -> int:
        """Pieces of feedback."""
        return sum(self.n_of_kind.values())

    @property
    def ceiling(self) -> float:
        """The largest accuracy against single raters that is possible; NaN if not measurable."""
        return largest_accuracy(self.two_raters.value)

    def n_left_out(self) -> Counter[str]:
        """Return how many pieces are left out for each reason."""
        return Counter(item.reason for item in self.left_out)

    def to_json(self) -> dict[str, Any]:
        """Return the figures without NaN, for files and for `--json`."""
        return {
            "n": self.n,
            "n_of_kind": self.n_of_kind,
            "n_kept": self.n_kept,
            "left_out": dict(sorted(self.n_left_out().items())),
            "ties": self.n_tie,
            "all_bad": self.n_all_bad,
            "disputed": self.n_disputed,
            "alpha": number(self.alpha),
            "two_raters_agree": share_json(self.two_raters),
            "one_rater_agrees": share_json(self.one_rater),
            "noise_ceiling": number(self.ceiling),
            "is_simulated": self.is_simulated,
            "raters": [
                {
                    "rater": figures.rater,
                    "n": figures.n,
                    "n_kept": figures.n_kept,
                    "gold": share_json(figures.gold),
                    "others": share_json(figures.others),
                    "is_simulated": figures.is_simulated,
                }
                for figures in self.raters
            ],
            "notes": list(self.notes),
        }


def number(value: float) -> float | None:
    """Return the number; None for NaN, which JSON cannot hold."""
    return None if value != value else value


def share_json(share: Share) -> dict[str, Any] | None:
    """Return a share with its interval; None without items."""
    if not share.n:
        return None
    low, high = share.interval
    return {"value": share.value, "low": low, "high": high, "n": share.n}


def count_kinds(feedback: Sequence[Feedback]) -> dict[str, int]:
    """Return the number of pieces of each kind."""
    counts = Counter(KINDS[type(item)] for item in feedback)
    return {name: counts[name] for name in KINDS.values() if counts[name]}


def count_ties(feedback: Sequence[Feedback]) -> int:
    """Return the number of rankings that prefer no reply."""
    return sum(isinstance(item, Ranking) and item.is_tie for item in feedback)
