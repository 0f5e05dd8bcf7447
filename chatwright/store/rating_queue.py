"""The queue of a store: prompts with replies that raters rank, one after the other.

An administrator adds tasks: a prompt with 2 to 8 replies. The texts lie in a conversation of the
administrator, so deleting that conversation removes its tasks. Every rater is offered every task
once: tasks with few replies first, and about one gold question among ten tasks. The ranks of a gold
question are known, so it measures the rater. What raters decide are rankings as any other feedback.

A rater sees neither which model replied nor which task is a gold question, and the replies in a
random order that stays the same for the rater.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from chatwright.conversation import Message
from chatwright.errors import InputError
from chatwright.store import audit
from chatwright.store.conversations import add_conversation, change_conversation
from chatwright.store.database import Database
from chatwright.store.errors import Conflict, NotFound
from chatwright.store.feedback import Opinion, StoredFeedback, insert_feedback
from chatwright.store.identifiers import new_id, now
from chatwright.store.messages import Origin, StoredMessage, insert_tree, read_branch
from chatwright.store.schema import (
    FEEDBACK,
    MESSAGES,
    QUEUE_LIMITS,
    QUEUE_REPLIES,
    QUEUE_TASKS,
    USERS,
)

MAX_REPLIES = 8
GOLD_EVERY = 10
"""Of this many tasks in a row, one is a gold question."""


@dataclass(frozen=True)
class NewTask:
    """A prompt with replies, as it is added."""

    prompt: tuple[Message, ...]
    replies: tuple[Message, ...]
    origins: tuple[Origin, ...]
    """Which model wrote each reply."""
    right_ranks: tuple[int, ...] = ()
    """Gold question: the right rank of each reply, 1 is the best. Else ()."""

    def __post_init__(self) -> None:
        n_reply = len(self.replies)
        if not self.prompt or self.prompt[-1].role == "assistant":
            raise _refused("prompt", "does not end with a question", "End it with a user's message")
        if not 2 <= n_reply <= MAX_REPLIES or len(self.origins) != n_reply:
            raise _refused("replies", f"are {n_reply}", f"Give 2 to {MAX_REPLIES} replies")
        if len({reply.text for reply in self.replies}) < n_reply:
            raise _refused("replies", "hold the same text twice", "Give different replies")
        if self.right_ranks and (
            len(self.right_ranks) != n_reply
            or min(self.right_ranks) < 1
            or len(set(self.right_ranks)) == 1
        ):
            remedy = "Give one rank from 1 for each reply, not all equal"
            raise _refused("right_ranks", "do not order the replies", remedy)


@dataclass(frozen=True)
class OfferedTask:
    """What a rater sees of a task."""

    id: str
    prompt: tuple[Message, ...]
    replies: tuple[StoredMessage, ...]
    """In the order in which this rater sees them."""


@dataclass(frozen=True)
class Offer:
    """The next task of a rater, and how many there are."""

    task: OfferedTask | None
    """None: there is no more, or the limit is reached."""
    n_done: int
    """Tasks that the rater has ranked."""
    n_left: int
    """Tasks that the rater may still rank."""


@dataclass(frozen=True)
class RaterFigures:
    """What a rater has done in the queue."""

    user_id: str
    name: str
    n_done: int
    most: int | None
    """The most tasks that the rater may rank; None: no limit."""
    n_right: int
    """Gold questions that the rater answered right."""
    n_gold: int
    """Gold questions that the rater answered."""


@dataclass(frozen=True)
class QueueFigures:
    """What is in the queue, and what raters have done."""

    n_task: int
    n_gold: int
    n_ranking: int
    raters: tuple[RaterFigures, ...]


class RatingQueue:
    """The queue of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, user_id: str, title: str, tasks: Sequence[NewTask]) -> tuple[str, ...]:
        """Add tasks in a new conversation of an administrator; return their ids."""
        if not tasks:
            raise _refused("tasks", "are empty", "Give at least one prompt with replies")
        with self._database.write() as connection:
            conversation = add_conversation(connection, user_id, title, None, {}).id
            ids = [_insert_task(connection, user_id, conversation, task) for task in tasks]
            last = sa.select(MESSAGES.c.id).where(MESSAGES.c.conversation_id == conversation)
            last = last.order_by(MESSAGES.c.number.desc()).limit(1)
            shown = connection.execute(last).scalar_one()
            change_conversation(connection, user_id, conversation, shown=shown)
            audit.record(connection, user_id, "queue.add", conversation, tasks=len(tasks))
        return tuple(ids)

    def offer(self, user_id: str, skipped: Collection[str] = ()) -> Offer:
        """Return a rater's next task; skipped ones come last of all, in another session."""
        with self._database.read() as connection:
            n_done, n_gold_done = _counts_done(connection, user_id)
            n_left = connection.execute(
                sa.select(sa.func.count()).select_from(QUEUE_TASKS).where(~_is_ranked_by(user_id))
            ).scalar_one()
            most = _most(connection, user_id)
            if most is not None:
                n_left = min(n_left, max(most - n_done, 0))
            row = None
            if n_left:
                row = _next_row(connection, user_id, skipped, n_done, n_gold_done)
            task = None if row is None else _offered(connection, user_id, row.id)
        return Offer(task, n_done, n_left)

    def rank(self, user_id: str, task_id: str, opinion: Opinion) -> StoredFeedback:
        """Store a rater's ranking of a task, in place of the one before.

        Raises:
            NotFound: There is no such task.
            InputError: The opinion is not a ranking of all replies of the task.
            Conflict: The rater's limit is reached.
        """
        query = (
            sa.select(QUEUE_REPLIES.c.place, MESSAGES)
            .join(MESSAGES, MESSAGES.c.id == QUEUE_REPLIES.c.message_id)
            .where(QUEUE_REPLIES.c.task_id == task_id)
            .order_by(QUEUE_REPLIES.c.place)
        )
        with self._database.write() as connection:
            replies = connection.execute(query).all()
            if not replies:
                raise NotFound("task", task_id)
            if opinion.kind != "ranking" or set(opinion.messages) != {row.id for row in replies}:
                raise _refused("messages", "are not the replies of the task", "Rank all of them")
            most = _most(connection, user_id)
            is_again = sa.select(QUEUE_TASKS.c.id).where(
                QUEUE_TASKS.c.id == task_id, _is_ranked_by(user_id)
            )
            is_new = connection.execute(is_again).first() is None
            if is_new and most is not None and _counts_done(connection, user_id)[0] >= most:
                raise Conflict("you have ranked as many tasks as you may", "limit_reached")
            # In the order in which the replies were added, as `chatwright rate` writes them.
            ranks = dict(zip(opinion.messages, opinion.ranks, strict=True))
            opinion = replace(
                opinion,
                messages=tuple(row.id for row in replies),
                ranks=tuple(ranks[row.id] for row in replies),
            )
            return insert_feedback(connection, user_id, opinion, replies)

    def set_limit(self, rater: str, most: int | None, *, actor: str = audit.HOST) -> None:
        """Limit how many tasks a rater may rank; None removes the limit. Raises NotFound."""
        if most is not None and most < 0:
            raise _refused("most", f"is {most}", "Give 0 or more, or null for no limit")
        with self._database.write() as connection:
            if connection.execute(sa.select(USERS.c.id).where(USERS.c.id == rater)).first() is None:
                raise NotFound("user", rater)
            connection.execute(sa.delete(QUEUE_LIMITS).where(QUEUE_LIMITS.c.user_id == rater))
            if most is not None:
                connection.execute(sa.insert(QUEUE_LIMITS).values(user_id=rater, most=most))
            audit.record(connection, actor, "queue.limit", rater, most=most)

    def figures(self) -> QueueFigures:
        """Return the sizes, and every user who may rank, by name."""
        with self._database.read() as connection:
            is_gold = connection.execute(sa.select(QUEUE_TASKS.c.is_gold)).scalars().all()
            users = sa.select(USERS).where(USERS.c.role != "learner").order_by(USERS.c.name)
            gold = _gold_shares(connection)
            raters = []
            for user in connection.execute(users).all():
                n_done, _ = _counts_done(connection, user.id)
                most = _most(connection, user.id)
                raters.append(
                    RaterFigures(user.id, user.name, n_done, most, *gold.get(user.id, (0, 0)))
                )
        n_ranking = sum(rater.n_done for rater in raters)
        return QueueFigures(len(is_gold), sum(is_gold), n_ranking, tuple(raters))


def _insert_task(connection: sa.Connection, user_id: str, conversation: str, task: NewTask) -> str:
    """Add one task, whose prompt is another beginning of the conversation."""
    parent = None
    messages = []
    for message in task.prompt:
        stored = _unsaved(message, parent, Origin())
        messages.append(stored)
        parent = stored.id
    replies = [
        _unsaved(reply, parent, origin)
        for reply, origin in zip(task.replies, task.origins, strict=True)
    ]
    ids = insert_tree(connection, user_id, conversation, [*messages, *replies])
    row = {
        "id": new_id("q"),
        "conversation_id": conversation,
        "n_reply": len(replies),
        "is_gold": bool(task.right_ranks),
        "created": now(),
    }
    connection.execute(sa.insert(QUEUE_TASKS).values(row))
    right: Sequence[int | None] = task.right_ranks or (None,) * len(replies)
    rows = [
        {"task_id": row["id"], "place": place, "message_id": ids[reply.id], "right_rank": rank}
        for place, (reply, rank) in enumerate(zip(replies, right, strict=True))
    ]
    connection.execute(sa.insert(QUEUE_REPLIES), rows)
    return str(row["id"])


def _unsaved(message: Message, parent: str | None, origin: Origin) -> StoredMessage:
    return StoredMessage(new_id("x"), parent, message, "complete", origin, None, None, "")


def _is_ranked_by(user_id: str) -> sa.ColumnElement[bool]:
    """Whether a user has ranked the task of the outer query."""
    query = (
        sa.select(FEEDBACK.c.number)
        .join(QUEUE_REPLIES, QUEUE_REPLIES.c.message_id == FEEDBACK.c.message_id)
        .where(
            QUEUE_REPLIES.c.task_id == QUEUE_TASKS.c.id,
            FEEDBACK.c.user_id == user_id,
            FEEDBACK.c.kind == "ranking",
        )
    )
    return sa.exists(query.correlate(QUEUE_TASKS))


def _counts_done(connection: sa.Connection, user_id: str) -> tuple[int, int]:
    """Return the numbers of tasks and of gold questions that a user has ranked."""
    query = sa.select(QUEUE_TASKS.c.is_gold).where(_is_ranked_by(user_id))
    done = connection.execute(query).scalars().all()
    return len(done), sum(done)


def _most(connection: sa.Connection, user_id: str) -> int | None:
    query = sa.select(QUEUE_LIMITS.c.most).where(QUEUE_LIMITS.c.user_id == user_id)
    return connection.execute(query).scalar()


def _next_row(
    connection: sa.Connection,
    user_id: str,
    skipped: Collection[str],
    n_done: int,
    n_gold_done: int,
) -> Any:
    """Return the first task left, or the first gold question when one is due."""
    query = (
        sa.select(QUEUE_TASKS)
        .where(~_is_ranked_by(user_id), QUEUE_TASKS.c.id.not_in(list(skipped)))
        .order_by(QUEUE_TASKS.c.n_reply, QUEUE_TASKS.c.number)
        .limit(1)
    )
    gold = connection.execute(query.where(QUEUE_TASKS.c.is_gold)).first()
    other = connection.execute(query.where(~QUEUE_TASKS.c.is_gold)).first()
    if gold is None or other is None:
        return gold or other
    # One of each ten tasks, at a place that the rater cannot know: it depends on the gold
    # question's id, which nobody has seen yet.
    block, place = divmod(n_done, GOLD_EVERY)
    is_due = n_gold_done <= block and place >= _drawn(user_id, gold.id) % GOLD_EVERY
    return gold if is_due else other


def _offered(connection: sa.Connection, user_id: str, task_id: str) -> OfferedTask:
    query = sa.select(QUEUE_REPLIES.c.message_id, MESSAGES.c.user_id).join(
        MESSAGES, MESSAGES.c.id == QUEUE_REPLIES.c.message_id
    )
    query = query.where(QUEUE_REPLIES.c.task_id == task_id).order_by(QUEUE_REPLIES.c.place)
    branches = [
        read_branch(connection, row.user_id, row.message_id) for row in connection.execute(query)
    ]
    replies = [branch[-1] for branch in branches]
    replies.sort(key=lambda reply: _drawn(user_id, reply.id))
    prompt = tuple(stored.message for stored in branches[0][:-1])
    return OfferedTask(task_id, prompt, tuple(replies))


def _drawn(user_id: str, id_: str) -> int:
    """Return a number that is random for each user and thing, and always the same."""
    return int.from_bytes(hashlib.sha256(f"{user_id} {id_}".encode()).digest()[:8], "big")


def _gold_shares(connection: sa.Connection) -> dict[str, tuple[int, int]]:
    """Return (gold questions answered right, gold questions answered), by rater.

    An answer is right if it prefers every reply that the right answer prefers.
    """
    query = (
        sa.select(FEEDBACK.c.user_id, FEEDBACK.c.id, FEEDBACK.c.rank, QUEUE_REPLIES.c.right_rank)
        .join(QUEUE_REPLIES, QUEUE_REPLIES.c.message_id == FEEDBACK.c.message_id)
        .where(FEEDBACK.c.kind == "ranking", QUEUE_REPLIES.c.right_rank.is_not(None))
    )
    rankings: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for row in connection.execute(query):
        rankings.setdefault((row.user_id, row.id), []).append((row.right_rank, row.rank))
    found: dict[str, tuple[int, int]] = {}
    for (user_id, _), ranks in rankings.items():
        is_right = all(a[1] < b[1] for a in ranks for b in ranks if a[0] < b[0])
        n_right, n = found.get(user_id, (0, 0))
        found[user_id] = (n_right + is_right, n + 1)
    return found


def _refused(name: str, reason: str, remedy: str) -> InputError:
    return InputError(f"{name} {reason}.", remedy=f"{remedy}.", field=name)
