"""Delete a user from a store so that no byte of the user's texts stays in its files.

Deleted rows leave their bytes in free pages, in the write-ahead log and in the search index. So
the index is built again, the database is written again without free pages, and the log is emptied.
Backups and snapshots of feedback are outside the store: the result names them. Models trained on a
snapshot may remember its texts.
In PostgreSQL the tables are rewritten; its own write-ahead log is recycled by the server later.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from chatwright.store import audit
from chatwright.store.backup import Backup
from chatwright.store.database import Database, StoreBusy
from chatwright.store.errors import NotFound
from chatwright.store.schema import (
    API_KEYS,
    BACKUPS,
    CONVERSATIONS,
    FEEDBACK,
    FOLDERS,
    IDEMPOTENCY_KEYS,
    LESSON_ANSWERS,
    MESSAGES,
    SESSIONS,
    USERS,
)
from chatwright.store.written_snapshots import WrittenSnapshot, snapshots_with

WITH_USER = (
    *(FEEDBACK, MESSAGES, CONVERSATIONS, FOLDERS),
    *(LESSON_ANSWERS, IDEMPOTENCY_KEYS, API_KEYS, SESSIONS),
)
"""Tables with rows of a user, in an order that keeps foreign keys whole."""


@dataclass(frozen=True)
class Deletion:
    """What was deleted, and what is left outside of the store."""

    user_id: str
    n_conversation: int
    n_message: int
    n_feedback: int
    snapshots: tuple[WrittenSnapshot, ...]
    """Snapshots of feedback that hold texts or ratings of the user."""
    backups: tuple[Backup, ...]
    """Backups made before; they may hold the user's texts."""


def forget_user(database: Database, user_id: str) -> Deletion:
    """Delete a user and everything the user wrote. Raises NotFound and StoreBusy.

    StoreBusy means that the user is deleted, but a reader kept the log from being emptied: call
    `scrub` again.
    """
    with database.write() as connection:
        if connection.execute(sa.select(USERS.c.id).where(USERS.c.id == user_id)).first() is None:
            raise NotFound("user", user_id)
        count = {
            table.name: connection.execute(
                sa.delete(table).where(table.c.user_id == user_id)
            ).rowcount
            for table in WITH_USER
        }
        connection.execute(sa.delete(USERS).where(USERS.c.id == user_id))
        audit.forget_details(connection, user_id)
        audit.record(connection, audit.HOST, "user.forget", user_id)
        snapshots = snapshots_with(connection, user_id)
        rows = connection.execute(sa.select(BACKUPS).order_by(BACKUPS.c.created))
        backups = tuple(Backup(row.path, row.created) for row in rows)
    scrub(database)
    return Deletion(
        user_id,
        count[CONVERSATIONS.name],
        count[MESSAGES.name],
        count[FEEDBACK.name],
        snapshots,
        backups,
    )


def scrub(database: Database) -> None:
    """Remove the bytes of deleted rows from the files. Raises StoreBusy."""
    with database.maintain() as connection:
        if not database.is_sqlite:
            for table in (*WITH_USER, USERS):
                connection.execute(f"VACUUM FULL {table.name}")
            return
        connection.execute("INSERT INTO message_search (message_search) VALUES ('rebuild')")
        connection.execute("VACUUM")
        is_busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if is_busy:
            raise StoreBusy(f"{database.path}: a reader keeps the log of deleted rows")
