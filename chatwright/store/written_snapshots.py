"""Which snapshots of feedback were written, and whose texts they hold."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa

from chatwright.store import audit
from chatwright.store.database import Database
from chatwright.store.identifiers import now
from chatwright.store.schema import SNAPSHOT_USERS, SNAPSHOTS


@dataclass(frozen=True)
class WrittenSnapshot:
    """A snapshot of feedback that was written to a file."""

    sha256: str
    """The hash in the snapshot's header, which the registry of a trained model names."""
    path: str
    created: str


def record_written_snapshot(
    database: Database, sha256: str, path: str, user_ids: Collection[str]
) -> None:
    """Record a snapshot with the ids of all users whose texts or ratings it holds."""
    with database.write() as connection:
        is_known = sa.select(SNAPSHOTS.c.sha256).where(SNAPSHOTS.c.sha256 == sha256)
        if connection.execute(is_known).first() is None:
            row = {"sha256": sha256, "path": path, "created": now()}
            connection.execute(sa.insert(SNAPSHOTS).values(row))
            users = [{"sha256": sha256, "user_id": user_id} for user_id in sorted(set(user_ids))]
            connection.execute(sa.insert(SNAPSHOT_USERS), users)
        audit.record(connection, audit.HOST, "feedback.export", sha256, path=path)


def snapshots_with(connection: sa.Connection, user_id: str) -> tuple[WrittenSnapshot, ...]:
    """Return the snapshots that hold texts or ratings of a user, the oldest first."""
    query = (
        sa.select(SNAPSHOTS)
        .join(SNAPSHOT_USERS, SNAPSHOT_USERS.c.sha256 == SNAPSHOTS.c.sha256)
        .where(SNAPSHOT_USERS.c.user_id == user_id)
        .order_by(SNAPSHOTS.c.created)
    )
    return tuple(
        WrittenSnapshot(row.sha256, row.path, row.created) for row in connection.execute(query)
    )
