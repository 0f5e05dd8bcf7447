"""Feedback of users on answers: thumbs, corrections and rankings.

Each row refers to the exact answer and to the hash of the weights that wrote it. A user has at most
one piece of each kind on an answer; a new one replaces it. A ranking has one row for each answer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal

import sqlalchemy as sa

from chatwright.conversation import Message
from chatwright.errors import InputError
from chatwright.store.database import Database
from chatwright.store.errors import Conflict, NotFound
from chatwright.store.identifiers import new_id, now
from chatwright.store.message_json import json_text, message_from_json, parts_to_json
from chatwright.store.messages import StoredMessage, read_branch
from chatwright.store.schema import FEEDBACK, MESSAGES, QUEUE_REPLIES

Kind = Literal["thumb", "correction", "ranking"]
MAX_REASON = 5_000
MAX_RANKED = 20
RATED_STATES = ("complete", "partial")


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """What a user thinks of one or more answers."""

    kind: Kind
    messages: tuple[str, ...]
    """Ids of the answers: several for a ranking, else one."""
    is_up: bool | None = None
    """Thumb: whether the answer is good."""
    ranks: tuple[int, ...] = ()
    """Ranking: one rank for each answer; 1 is the best, equal ranks are a tie."""
    are_all_bad: bool = False
    """Ranking: whether no answer is acceptable."""
    better: Message | None = None
    """Correction: the better answer."""
    reason: str = ""

    def __post_init__(self) -> None:
        n_message = len(self.messages)
        is_ranking = self.kind == "ranking"
        if is_ranking and not (
            2 <= n_message <= MAX_RANKED
            and len(self.ranks) == n_message
            and len(set(self.messages)) == n_message
            and min(self.ranks) >= 1
        ):
            remedy = f"Give 2 to {MAX_RANKED} different answers and one rank from 1 for each."
            raise _refused("ranks", "do not fit the answers", remedy)
        if not is_ranking and n_message != 1:
            raise _refused("message", "is not one answer", "Name one answer.")
        if (self.is_up is not None) != (self.kind == "thumb"):
            raise _refused("is_up", "belongs to a thumb, and only there", "Send true or false.")
        if (self.better is not None) != (self.kind == "correction"):
            raise _refused("better", "belongs to a correction, and only there", "Write it.")
        if self.better is not None and self.better.role != "assistant":
            raise _refused("better", "is not a message of the assistant", "Write an answer.")
        if len(self.reason) > MAX_REASON:
            raise _refused("reason", "is too long", f"Use at most {MAX_REASON} characters.")
        if "\0" in self.reason:
            raise _refused("reason", "has a null character", "Leave it out.")


@dataclass(frozen=True)
class StoredFeedback:
    """An opinion with its id, author and time."""

    id: str
    user_id: str
    created: str
    opinion: Opinion
    weights: tuple[str, ...]
    """SHA-256 of the weights that wrote each answer; "" if unknown."""


@dataclass(frozen=True)
class RatedConversation:
    """Feedback with the texts that it is about."""

    feedback: StoredFeedback
    owner_id: str
    """The user to whom the conversation belongs."""
    prompt: tuple[StoredMessage, ...]
    """The messages before the answers."""
    answers: tuple[StoredMessage, ...] = field(default=())
    right_ranks: tuple[int, ...] = ()
    """The known ranks of the answers, if they are a gold question of the rating queue."""


class FeedbackTable:
    """The feedback of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def give(self, user_id: str, opinion: Opinion) -> StoredFeedback:
        """Store an opinion on the user's own answers, in place of the one before.

        Raises:
            NotFound: The user has no such answer.
            Conflict: An answer is not complete, or the answers have different parents.
        """
        with self._database.write() as connection:
            answers = [_answer(connection, user_id, id_) for id_ in opinion.messages]
            if len({row.parent_id for row in answers}) > 1:
                raise Conflict("these answers do not belong to the same message", "other_parent")
            return insert_feedback(connection, user_id, opinion, answers)

    def of_conversation(self, user_id: str, conversation: str) -> tuple[StoredFeedback, ...]:
        """Return a user's feedback on the answers of a conversation, the oldest first."""
        query = (
            sa.select(FEEDBACK)
            .join(MESSAGES, MESSAGES.c.id == FEEDBACK.c.message_id)
            .where(FEEDBACK.c.user_id == user_id, MESSAGES.c.conversation_id == conversation)
        )
        with self._database.read() as connection:
            return _grouped(connection.execute(query.order_by(FEEDBACK.c.number)).all())

    def delete(self, user_id: str, id_: str) -> None:
        """Take feedback back. Raises NotFound."""
        is_own = (FEEDBACK.c.id == id_, FEEDBACK.c.user_id == user_id)
        with self._database.write() as connection:
            if connection.execute(sa.delete(FEEDBACK).where(*is_own)).rowcount == 0:
                raise NotFound("feedback", id_)

    def state(self) -> tuple[int, int]:
        """Return the number of pieces and the newest number; equal if nothing has changed."""
        query = sa.select(sa.func.count(), sa.func.max(FEEDBACK.c.number))
        with self._database.read() as connection:
            count, newest = connection.execute(query.select_from(FEEDBACK)).one()
            return int(count), int(newest or 0)

    def rated_conversations(self) -> tuple[RatedConversation, ...]:
        """Return all feedback with its texts, the oldest first, for a snapshot."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(FEEDBACK).order_by(FEEDBACK.c.number)).all()
            return tuple(_rated(connection, feedback) for feedback in _grouped(rows))


def insert_feedback(
    connection: sa.Connection, user_id: str, opinion: Opinion, answers: Sequence[Any]
) -> StoredFeedback:
    """Store an opinion on these rows of answers, in place of the user's one before."""
    json_text(opinion.reason)
    weights = tuple(answer.weights for answer in answers)
    given = StoredFeedback(new_id("b"), user_id, now(), opinion, weights)
    _delete_earlier(connection, given)
    connection.execute(sa.insert(FEEDBACK), _rows(given, answers))
    return given


def _answer(connection: sa.Connection, user_id: str, id_: str) -> Any:
    is_own = (MESSAGES.c.id == id_, MESSAGES.c.user_id == user_id, MESSAGES.c.role == "assistant")
    row = connection.execute(sa.select(MESSAGES).where(*is_own)).first()
    if row is None:
        raise NotFound("answer", id_)
    if row.state not in RATED_STATES:
        raise Conflict("this answer is not complete", "not_complete")
    return row


def _delete_earlier(connection: sa.Connection, given: StoredFeedback) -> None:
    """Delete the user's feedback of this kind on these answers; rankings go as a whole."""
    is_earlier = (
        FEEDBACK.c.user_id == given.user_id,
        FEEDBACK.c.kind == given.opinion.kind,
        FEEDBACK.c.message_id.in_(given.opinion.messages),
    )
    ids = connection.execute(sa.select(FEEDBACK.c.id).where(*is_earlier)).scalars().all()
    connection.execute(sa.delete(FEEDBACK).where(FEEDBACK.c.id.in_(ids)))


def _rows(given: StoredFeedback, answers: Sequence[Any]) -> list[dict[str, Any]]:
    opinion = given.opinion
    better = None if opinion.better is None else json_text(parts_to_json(opinion.better.parts))
    ranks: Sequence[int | None] = opinion.ranks or (None,)
    return [
        {
            "id": given.id,
            "user_id": given.user_id,
            "message_id": answer.id,
            "weights": answer.weights,
            "kind": opinion.kind,
            "is_up": opinion.is_up,
            "rank": rank,
            "are_all_bad": opinion.are_all_bad if opinion.kind == "ranking" else None,
            "better": better,
            "reason": opinion.reason,
            "created": given.created,
        }
        for answer, rank in zip(answers, ranks, strict=True)
    ]


def _grouped(rows: Sequence[Any]) -> tuple[StoredFeedback, ...]:
    """Return the feedback in rows; the rows of a ranking follow each other."""
    return tuple(_feedback(list(group)) for _, group in groupby(rows, key=lambda row: row.id))


def _feedback(rows: list[Any]) -> StoredFeedback:
    first = rows[0]
    better = None if first.better is None else json.loads(first.better)
    opinion = Opinion(
        kind=first.kind,
        messages=tuple(row.message_id for row in rows),
        is_up=first.is_up,
        ranks=tuple(row.rank for row in rows) if first.kind == "ranking" else (),
        are_all_bad=bool(first.are_all_bad),
        better=None if better is None else message_from_json("assistant", better),
        reason=first.reason,
    )
    weights = tuple(row.weights for row in rows)
    return StoredFeedback(first.id, first.user_id, first.created, opinion, weights)


def _rated(connection: sa.Connection, feedback: StoredFeedback) -> RatedConversation:
    ids = feedback.opinion.messages
    query = sa.select(MESSAGES.c.user_id).where(MESSAGES.c.id == ids[0])
    owner = connection.execute(query).scalar_one()
    branches = [read_branch(connection, owner, id_) for id_ in ids]
    answers = tuple(branch[-1] for branch in branches)
    known = sa.select(QUEUE_REPLIES.c.message_id, QUEUE_REPLIES.c.right_rank)
    rows = connection.execute(known.where(QUEUE_REPLIES.c.message_id.in_(ids)))
    right = {row.message_id: row.right_rank for row in rows if row.right_rank is not None}
    is_gold = feedback.opinion.kind == "ranking" and right.keys() == set(ids)
    right_ranks = tuple(right[id_] for id_ in ids) if is_gold else ()
    return RatedConversation(feedback, owner, branches[0][:-1], answers, right_ranks)


def _refused(name: str, reason: str, remedy: str) -> InputError:
    return InputError(f"{name} {reason}.", remedy=remedy, field=name)
