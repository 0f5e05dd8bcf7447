"""API keys of users: 256 random bits, shown once, stored as SHA-256, with scopes and an expiry."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from chatwright.store import audit
from chatwright.store.database import Database
from chatwright.store.errors import NotFound
from chatwright.store.identifiers import new_id, new_secret, now, secret_hash, time_after
from chatwright.store.schema import API_KEYS, USERS
from chatwright.store.users import User, user_of

PREFIX = "cw-"
"""The beginning of every key, so that scanners for leaked secrets can find it."""


@dataclass(frozen=True)
class ApiKey:
    """What is known of a key; the key itself is not stored."""

    id: str
    name: str
    scopes: frozenset[str]
    created: str
    expires: str | None
    revoked: str | None


class ApiKeys:
    """The API keys of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        user_id: str,
        name: str,
        scopes: Collection[str],
        lifetime: timedelta | None = None,
    ) -> tuple[ApiKey, str]:
        """Return a new key: its record, and the secret, which cannot be shown again."""
        secret = PREFIX + new_secret()
        expires = None if lifetime is None else time_after(lifetime)
        key = ApiKey(new_id("k"), name, frozenset(scopes), now(), expires, None)
        with self._database.write() as connection:
            connection.execute(
                sa.insert(API_KEYS).values(
                    id=key.id,
                    user_id=user_id,
                    name=name,
                    key_hash=secret_hash(secret),
                    scopes=json.dumps(sorted(scopes)),
                    created=key.created,
                    expires=expires,
                )
            )
            audit.record(connection, user_id, "key.add", key.id, scopes=sorted(scopes))
        return key, secret

    def list(self, user_id: str) -> tuple[ApiKey, ...]:
        """Return a user's keys, the oldest first."""
        query = sa.select(API_KEYS).where(API_KEYS.c.user_id == user_id)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(API_KEYS.c.created))
            return tuple(
                ApiKey(
                    row.id,
                    row.name,
                    frozenset(json.loads(row.scopes)),
                    row.created,
                    row.expires,
                    row.revoked,
                )
                for row in rows
            )

    def revoke(self, user_id: str, key_id: str) -> None:
        """End a key of this user. Raises NotFound."""
        is_key = (API_KEYS.c.id == key_id, API_KEYS.c.user_id == user_id)
        with self._database.write() as connection:
            changed = sa.update(API_KEYS).where(*is_key).values(revoked=now())
            if connection.execute(changed).rowcount == 0:
                raise NotFound("key", key_id)
            audit.record(connection, user_id, "key.revoke", key_id)

    def user(self, secret: str) -> tuple[User, frozenset[str]] | None:
        """Return the user and the scopes of a key, or None if it is not valid now."""
        query = (
            sa.select(USERS, API_KEYS.c.scopes)
            .join(API_KEYS, API_KEYS.c.user_id == USERS.c.id)
            .where(
                API_KEYS.c.key_hash == secret_hash(secret),
                API_KEYS.c.revoked.is_(None),
                sa.or_(API_KEYS.c.expires.is_(None), API_KEYS.c.expires > now()),
                USERS.c.is_active,
            )
        )
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else (user_of(row), frozenset(json.loads(row.scopes)))
