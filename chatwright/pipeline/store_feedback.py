"""Write the feedback of a store into a snapshot, from which models are trained."""

from datetime import datetime
from pathlib import Path

from chatwright.data.preferences import Correction, Feedback, Ranking, RatedReply, Thumb
from chatwright.data.snapshot import Snapshot, write_snapshot
from chatwright.store.feedback import RatedConversation
from chatwright.store.store import Store
from chatwright.store.written_snapshots import record_written_snapshot


def write_store_snapshot(store: Store, path: Path, previous: Snapshot | None = None) -> Snapshot:
    """Write all feedback to a new snapshot; record in the store which users' texts it holds.

    With this record, deleting a user can name the snapshots that still hold the user's texts.

    Args:
        store: The store. Snapshots name raters by their ids in it.
        path: The new file.
        previous: The snapshot before it, whose hash the file holds; None for the first one.

    Raises:
        InputError: The file exists, or there is no feedback.
    """
    rated = store.feedback.rated_conversations()
    snapshot = write_snapshot(path, [to_feedback(item) for item in rated], previous)
    record_snapshot(store, snapshot)
    return snapshot


def record_snapshot(store: Store, snapshot: Snapshot) -> None:
    """Record in the store which users' texts a snapshot of all its feedback holds."""
    rated = store.feedback.rated_conversations()
    concerned = {item.owner_id for item in rated} | {item.feedback.user_id for item in rated}
    if concerned:
        record_written_snapshot(
            store.database, snapshot.sha256, str(snapshot.path.resolve()), concerned
        )


def to_feedback(rated: RatedConversation) -> Feedback:
    """Return a piece of feedback of the store as snapshots hold it."""
    opinion = rated.feedback.opinion
    prompt = tuple(stored.message for stored in rated.prompt)
    rater, reason = rated.feedback.user_id, opinion.reason
    time = datetime.fromisoformat(rated.feedback.created)
    replies = tuple(RatedReply(s.message, s.origin.weights) for s in rated.answers)
    if opinion.kind == "ranking":
        return Ranking(
            prompt=prompt,
            rater=rater,
            time=time,
            reason=reason,
            replies=replies,
            ranks=opinion.ranks,
            are_all_bad=opinion.are_all_bad,
            right_ranks=rated.right_ranks,  # known ranks, with which the queue tests raters
        )
    if opinion.better is not None:
        return Correction(
            prompt=prompt,
            rater=rater,
            time=time,
            reason=reason,
            reply=replies[0],
            better=opinion.better,
        )
    is_up = bool(opinion.is_up)
    return Thumb(
        prompt=prompt, rater=rater, time=time, reason=reason, reply=replies[0], is_up=is_up
    )
