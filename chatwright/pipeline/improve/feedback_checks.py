"""Check feedback before a model is trained on it: where the replies come from, and who rated."""

from collections.abc import Sequence

from chatwright.checkpoint.registry import Registry
from chatwright.data.preferences import Feedback
from chatwright.data.snapshot import Snapshot
from chatwright.errors import InputError
from chatwright.evaluation.feedback_quality.quality import assess
from chatwright.pipeline.improve.methods import count
from chatwright.pipeline.improve.parts import replies_of
from chatwright.pipeline.improve.settings import ImproveConfig
from chatwright.training.watcher import Watcher


def check_feedback(
    snapshot: Snapshot, versions: Registry, config: ImproveConfig, watcher: Watcher
) -> Sequence[Feedback]:
    """Return the feedback to use; say what is left out and what to beware of.

    Raises:
        InputError: Feedback is about models that are not versions, and `any_weights` is off; or all
            of it are ties.
    """
    if snapshot.is_simulated:
        watcher.warn("this feedback is simulated: programs gave it, not people")
    known = _with_accepted_weights(snapshot, versions, config.any_weights, watcher)
    good = assess(known, config.quality)
    for reason, n_piece in good.report.n_left_out().items():
        watcher.warn(f"left out: {n_piece:,} of {len(known):,} pieces of feedback: {reason}")
    counts = count(good.kept)
    if counts.n_tie and not counts.n_pair and not counts.n_thumb:
        raise InputError(
            f"{snapshot.path}: all {counts.n_tie:,} rankings are ties, so the feedback prefers no "
            "reply and nothing can be learned from it.",
            remedy="Rank replies that differ more: sample them at a higher temperature.",
            field="feedback",
            value=counts.n_tie,
        )
    if len(counts.raters) == 1:
        watcher.warn(
            "all feedback is by one rater, so the model learns that person's taste, and nobody "
            "knows whether others agree"
        )
    return good.kept


def _with_accepted_weights(
    snapshot: Snapshot, versions: Registry, any_weights: bool, watcher: Watcher
) -> list[Feedback]:
    """Return the feedback; InputError if some is about other weights and `any_weights` is off."""
    known = {version.weights for version in versions.versions} | {""}
    unknown = [
        item
        for item in snapshot.feedback
        if not all(reply.weights in known for reply in replies_of(item))
    ]
    n_all, n_unknown = len(snapshot.feedback), len(unknown)
    n_unnamed = sum(
        any(not reply.weights for reply in replies_of(item)) for item in snapshot.feedback
    )
    if n_unnamed:
        watcher.say(f"{n_unnamed:,} of {n_all:,} do not say which model wrote the replies")
    if not unknown:
        return list(snapshot.feedback)
    if any_weights:
        watcher.warn(
            f"{n_unknown:,} of {n_all:,} are about models that are not versions of this one"
        )
        return list(snapshot.feedback)
    raise InputError(
        f"{snapshot.path}: {n_unknown:,} of {n_all:,} pieces of feedback are about replies of "
        f"models that are not versions in {versions.directory}, such as "
        f"{_example(unknown, known)}….",
        remedy="Rate replies of a version, or train on this feedback anyway with --any-weights.",
        field="feedback",
        value=n_unknown,
    )


def _example(unknown: Sequence[Feedback], known: set[str]) -> str:
    hashes = (reply.weights for item in unknown for reply in replies_of(item))
    return next(weights for weights in hashes if weights not in known)[:12]
