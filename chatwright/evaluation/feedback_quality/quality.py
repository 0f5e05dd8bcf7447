"""Choose the feedback to train on, and report everything that is left out, with its reason.

In this order: gold questions, raters who fail them, raters who contradict the others, answers that
contradict the same rater's, duplicates, and what is over a rater's limit. Raters are left out
only if their figures are surely below a limit: with few answers nobody is.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chatwright.data.preferences import Correction, Feedback, Ranking
from chatwright.data.readers.feedback_json import KINDS, feedback_to_json
from chatwright.data.snapshot import Snapshot
from chatwright.errors import InputError
from chatwright.evaluation.feedback_quality import agreement, consensus
from chatwright.evaluation.feedback_quality.judgments import Judgment, content_hash, judgments_of
from chatwright.evaluation.feedback_quality.report import (
    NO_SHARE,
    LeftOut,
    QualityReport,
    RaterFigures,
    Reason,
    count_kinds,
    count_ties,
)
from chatwright.evaluation.interval import Share


@dataclass(frozen=True, kw_only=True)
class FeedbackQualityConfig:
    """Which feedback is left out."""

    gold_limit: float = 0.6
    """Leave out raters whose share of right gold questions is surely below this; 0: none.

    Surely: the upper end of the 95 % Wilson interval is below it.
    """
    agreement_limit: float = 0.5
    """Leave out raters who surely agree with the others less often than this; 0: none."""
    most_per_rater: int = 0
    """Largest number of pieces of one rater that are kept; 0: no limit."""

    def __post_init__(self) -> None:
        for name in ("gold_limit", "agreement_limit"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise _refused(name, value, "must be between 0 and 1", "Set for example 0.5.")
        if self.most_per_rater < 0:
            remedy = "Set for example 500; 0 means no limit."
            raise _refused("most_per_rater", self.most_per_rater, "is negative", remedy)


@dataclass(frozen=True)
class GoodFeedback:
    """The feedback to train on, in the order of the snapshot, and the report."""

    kept: tuple[Feedback, ...]
    report: QualityReport


def choose_feedback(snapshot: Snapshot, config: FeedbackQualityConfig) -> GoodFeedback:
    """Return the feedback to train on. Raises InputError if none of it prefers a reply."""
    good = assess(snapshot.feedback, config)
    if not good.kept or count_ties(good.kept) == len(good.kept):
        reasons = ", ".join(f"{reason}: {n}" for reason, n in good.report.n_left_out().items())
        ties = f"{count_ties(good.kept)} are ties"
        raise InputError(
            f"{snapshot.path}: none of its {good.report.n} pieces of feedback prefers a reply and "
            f"may be used ({'; '.join(filter(None, (ties, reasons)))}).",
            remedy="Collect more feedback, or look at it: chatwright feedback show SNAPSHOT.",
            field="feedback",
            value=str(snapshot.path),
        )
    return good


def assess(
    feedback: Sequence[Feedback], config: FeedbackQualityConfig | None = None
) -> GoodFeedback:
    """Return the feedback to keep, which may be none, with the report."""
    config = config or FeedbackQualityConfig()
    judgments = judgments_of(feedback)
    gold = _gold_shares(feedback)
    others = consensus.agreement_with_others(judgments)
    reasons: dict[int, Reason] = {}
    _leave_out_raters(reasons, feedback, gold, others, config)
    _leave_out(reasons, _own_contradictions(judgments), "the rater contradicts an own answer")
    _leave_out(reasons, _duplicates(feedback, reasons), "duplicate")
    _leave_out(reasons, _over_limit(feedback, reasons, config), "over the rater's limit")
    kept = tuple(item for index, item in enumerate(feedback) if index not in reasons)
    left_out = tuple(LeftOut(feedback[index], reasons[index]) for index in sorted(reasons))
    report = _report(feedback, judgments, kept, left_out, gold, others)
    return GoodFeedback(kept, report)


def _leave_out(reasons: dict[int, Reason], indices: Iterable[int], reason: Reason) -> None:
    for index in indices:
        reasons.setdefault(index, reason)


def _gold_shares(feedback: Sequence[Feedback]) -> dict[str, Share]:
    """Return for each rater the share of gold questions answered right.

    An answer is right if it prefers every reply that the right answer prefers.
    """
    right: Counter[str] = Counter()
    n: Counter[str] = Counter()
    for item in feedback:
        if isinstance(item, Ranking) and item.is_gold:
            right[item.rater] += set(item.right_pairs()) <= set(item.pairs())
            n[item.rater] += 1
    return {rater: Share(right[rater], n[rater]) for rater in n}


def _leave_out_raters(
    reasons: dict[int, Reason],
    feedback: Sequence[Feedback],
    gold: dict[str, Share],
    others: dict[str, Share],
    config: FeedbackQualityConfig,
) -> None:
    for index, item in enumerate(feedback):
        if gold.get(item.rater, NO_SHARE).interval[1] < config.gold_limit:
            reasons[index] = "the rater fails gold questions"
        elif others.get(item.rater, NO_SHARE).interval[1] < config.agreement_limit:
            reasons[index] = "the rater contradicts the others"
        elif isinstance(item, Ranking) and item.is_gold:
            reasons[index] = "gold question"


def _own_contradictions(judgments: Sequence[Judgment]) -> list[int]:
    """Return the feedback in which a rater prefers A to B, and elsewhere B to A."""
    sources = []
    for raters in agreement.answers_by_item(judgments).values():
        for said in raters.values():
            if {1, -1} <= {judgment.answer for judgment in said}:
                sources += [judgment.source for judgment in said]
    return sources


def _duplicates(feedback: Sequence[Feedback], reasons: dict[int, Reason]) -> list[int]:
    """Return what repeats an earlier piece: same rater, prompt, replies and judgment."""
    seen = set()
    repeated = []
    for index, item in enumerate(feedback):
        if index in reasons:
            continue
        key = _identity(item)
        if key in seen:
            repeated.append(index)
        seen.add(key)
    return repeated


def _identity(item: Feedback) -> tuple[object, ...]:
    prompt = content_hash(item.prompt)
    said: list[tuple[str, object]]
    if isinstance(item, Ranking):
        order = sorted(set(item.ranks))
        ranks = zip(item.replies, item.ranks, strict=True)
        said = sorted((content_hash((r.message,)), order.index(rank)) for r, rank in ranks)
    else:
        reply = content_hash((item.reply.message,))
        judgment = content_hash((item.better,)) if isinstance(item, Correction) else str(item.is_up)
        said = [(reply, judgment)]
    return (item.rater, KINDS[type(item)], prompt, *said)


def _over_limit(
    feedback: Sequence[Feedback], reasons: dict[int, Reason], config: FeedbackQualityConfig
) -> list[int]:
    """Return what is over each rater's limit; hashes choose, so that time does not matter."""
    if not config.most_per_rater:
        return []
    by_rater: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for index, item in enumerate(feedback):
        if index not in reasons:
            content = json.dumps(feedback_to_json(item), sort_keys=True)
            by_rater[item.rater].append((hashlib.sha256(content.encode()).hexdigest(), index))
    return [
        index for said in by_rater.values() for _, index in sorted(said)[config.most_per_rater :]
    ]


def _report(
    feedback: Sequence[Feedback],
    judgments: Sequence[Judgment],
    kept: Sequence[Feedback],
    left_out: tuple[LeftOut, ...],
    gold: dict[str, Share],
    others: dict[str, Share],
) -> QualityReport:
    n = Counter(item.rater for item in feedback)
    n_kept = Counter(item.rater for item in kept)
    simulated = {item.rater for item in feedback if item.is_simulated}
    raters = tuple(
        RaterFigures(
            rater,
            n[rater],
            n_kept[rater],
            gold.get(rater, NO_SHARE),
            others.get(rater, NO_SHARE),
            rater in simulated,
        )
        for rater in sorted(n)
    )
    return QualityReport(
        n_of_kind=count_kinds(feedback),
        n_kept=len(kept),
        raters=raters,
        left_out=left_out,
        n_tie=count_ties(feedback),
        n_all_bad=sum(isinstance(item, Ranking) and item.are_all_bad for item in feedback),
        n_disputed=_n_disputed(judgments),
        alpha=agreement.alpha_of(judgments),
        two_raters=agreement.two_raters_agree(judgments),
        one_rater=agreement.one_rater_agrees(judgments),
        is_simulated=bool(simulated),
        notes=tuple(_notes(raters)),
    )


def _n_disputed(judgments: Sequence[Judgment]) -> int:
    return sum(
        {1, -1} <= {said[0].answer for said in raters.values()}
        for raters in agreement.answers_by_item(judgments).values()
    )


def _notes(raters: Sequence[RaterFigures]) -> list[str]:
    notes = []
    simulated = [figures.rater for figures in raters if figures.is_simulated]
    if simulated:
        notes.append(f"SIMULATED: programs, not people, gave feedback as {_names(simulated)}.")
    if len(raters) == 1:
        notes.append("There is one rater, so a model learns this rater's taste.")
    unknown = [r.rater for r in raters if not r.others.n and not r.gold.n]
    if unknown:
        notes.append(
            f"Nothing shows whether {_names(unknown)} can be trusted: no other rater judged the "
            "same replies, and there are no gold questions."
        )
    return notes


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more raters"


def _refused(name: str, value: object, reason: str, remedy: str) -> InputError:
    return InputError(f"{name} ({value}) {reason}.", remedy=remedy, field=name, value=value)
