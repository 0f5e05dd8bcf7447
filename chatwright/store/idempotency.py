"""Requests that arrive twice: the second one gets the reply of the first.

A client sends a key of its own with a request, and the same key when it tries again. Keys are
unique for each user and kept for a day. The reply is stored in the transaction of the change.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from chatwright.errors import InputError
from chatwright.store.errors import Conflict
from chatwright.store.identifiers import now, time_after
from chatwright.store.schema import IDEMPOTENCY_KEYS

KEPT = timedelta(days=1)
MAX_KEY = 100


@dataclass(frozen=True)
class Retry:
    """A user's key, and the hash of the request that it belongs to."""

    key: str
    request_hash: str


def retry_of(key: str, request: object) -> Retry:
    """Return the record of a request. Raises InputError for an unusable key."""
    if not (0 < len(key) <= MAX_KEY and key.isascii() and key.isprintable()):
        raise InputError(
            f"The idempotency key has {len(key)} characters, or some that are not ASCII.",
            remedy=f"Use 1 to {MAX_KEY} printable ASCII characters.",
            field="Idempotency-Key",
        )
    text = json.dumps(request, sort_keys=True)
    return Retry(key, hashlib.sha256(text.encode()).hexdigest())


def ids_of_first_request(connection: sa.Connection, user_id: str, retry: Retry | None) -> list[str]:
    """Return the ids that the first request with this key made; [] if this is the first.

    Raises Conflict if the key belongs to another request.
    """
    if retry is None:
        return []
    connection.execute(
        sa.delete(IDEMPOTENCY_KEYS).where(IDEMPOTENCY_KEYS.c.created < time_after(-KEPT))
    )
    is_key = (IDEMPOTENCY_KEYS.c.user_id == user_id, IDEMPOTENCY_KEYS.c.key == retry.key)
    row = connection.execute(sa.select(IDEMPOTENCY_KEYS).where(*is_key)).first()
    if row is None:
        return []
    if row.request_hash != retry.request_hash:
        raise Conflict("this key was used with another request", "key_reused")
    ids: list[str] = json.loads(row.reply)
    return ids


def remember(connection: sa.Connection, user_id: str, retry: Retry | None, ids: list[str]) -> None:
    """Store the ids that a request made. Two requests at once: the second one fails."""
    if retry is None:
        return
    values: dict[str, Any] = {
        "user_id": user_id,
        "key": retry.key,
        "request_hash": retry.request_hash,
        "reply": json.dumps(ids),
        "created": now(),
    }
    connection.execute(sa.insert(IDEMPOTENCY_KEYS).values(values))
