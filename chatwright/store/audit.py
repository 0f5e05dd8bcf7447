"""The audit log: who did what to which thing, in a chain of hashes that shows every change.

The hash of an entry covers the entry before it. Details are covered by a salted hash only. So
the details of a deleted user can be removed, and the chain still proves all other entries.
Keep the last hash elsewhere: a log that was rewritten from an entry on is else not noticed.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from chatwright.errors import InputError
from chatwright.store.database import Database
from chatwright.store.identifiers import now
from chatwright.store.schema import AUDIT

HOST = "host"
"""The actor of commands on the machine itself."""
NOBODY = "nobody"
"""The actor of requests without a session."""
CHAIN_LOCK = 0x63686174  # number of PostgreSQL's advisory lock of the chain


@dataclass(frozen=True)
class AuditEntry:
    """One entry of the log."""

    number: int
    time: str
    actor: str
    """Id of a user, HOST or NOBODY."""
    action: str
    """For example "user.add"."""
    subject: str
    """Id of the thing that was changed."""
    details: Mapping[str, Any] | None
    """None after they were forgotten."""
    hash: str


class Audit:
    """The log of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def entries(self, limit: int = 100) -> tuple[AuditEntry, ...]:
        """Return the last entries, the newest first."""
        query = sa.select(AUDIT).order_by(AUDIT.c.number.desc()).limit(limit)
        with self._database.read() as connection:
            return tuple(_entry(row) for row in connection.execute(query))

    def subjects_after(self, number: int, action: str) -> tuple[tuple[int, str], ...]:
        """Return (number, subject) of the entries after `number` with this action, in order."""
        query = (
            sa.select(AUDIT.c.number, AUDIT.c.subject)
            .where(AUDIT.c.number > number, AUDIT.c.action == action)
            .order_by(AUDIT.c.number)
        )
        with self._database.read() as connection:
            return tuple((row.number, row.subject) for row in connection.execute(query))

    def verify(self) -> str:
        """Return the last hash; InputError names the first entry that was changed."""
        before = ""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(AUDIT).order_by(AUDIT.c.number))
            for expected, row in enumerate(rows, 1):
                is_whole = row.details is None or (
                    _details_hash(row.salt or "", row.details) == row.details_hash
                )
                if not (
                    is_whole
                    and row.number == expected
                    and row.hash == _chain_hash(before, row._asdict())
                ):
                    raise InputError(
                        f"Entry {expected} of the audit log was changed or removed.",
                        remedy="Compare the store with a backup.",
                        field="audit",
                        value=expected,
                    )
                before = row.hash
        return before


def record(
    connection: sa.Connection, actor: str, action: str, subject: str, **details: Any
) -> None:
    """Append an entry in the transaction of the change that it describes."""
    if connection.dialect.name == "postgresql":  # SQLite has one writer
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(CHAIN_LOCK)))
    last = connection.execute(
        sa.select(AUDIT.c.number, AUDIT.c.hash).order_by(AUDIT.c.number.desc()).limit(1)
    ).first()
    salt = secrets.token_hex(32)
    text = json.dumps(details, ensure_ascii=True, sort_keys=True)
    values = {
        "number": last.number + 1 if last else 1,
        "time": now(),
        "actor": actor,
        "action": action,
        "subject": subject,
        "details": text,
        "salt": salt,
        "details_hash": _details_hash(salt, text),
    }
    chain_hash = _chain_hash(last.hash if last else "", values)
    connection.execute(sa.insert(AUDIT).values(**values, hash=chain_hash))


def forget_details(connection: sa.Connection, user_id: str) -> int:
    """Remove the details of all entries by or about a user; return their number."""
    concerns = sa.or_(AUDIT.c.actor == user_id, AUDIT.c.subject == user_id)
    result = connection.execute(sa.update(AUDIT).where(concerns).values(details=None, salt=None))
    return result.rowcount


def _entry(row: Any) -> AuditEntry:
    details = None if row.details is None else json.loads(row.details)
    return AuditEntry(row.number, row.time, row.actor, row.action, row.subject, details, row.hash)


def _chain_hash(before: str, row: Mapping[str, Any]) -> str:
    names = ("number", "time", "actor", "action", "subject", "details_hash")
    text = json.dumps([before, *(row[name] for name in names)])
    return hashlib.sha256(text.encode()).hexdigest()


def _details_hash(salt: str, details: str) -> str:
    return hashlib.sha256(f"{salt}{details}".encode()).hexdigest()
