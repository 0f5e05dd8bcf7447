"""Sessions of users who logged in: a random token in a cookie, its hash and expiry here."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from chatwright.store import audit
from chatwright.store.database import Database
from chatwright.store.identifiers import new_secret, now, secret_hash, time_after
from chatwright.store.schema import SESSIONS, USERS
from chatwright.store.users import User, user_of

LIFETIME = timedelta(days=14)


class Sessions:
    """The sessions of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def start(self, user_id: str, lifetime: timedelta = LIFETIME) -> str:
        """Return the token of a new session. Only its hash is stored. Expired sessions go."""
        token = new_secret()
        with self._database.write() as connection:
            connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.expires <= now()))
            connection.execute(
                sa.insert(SESSIONS).values(
                    token_hash=secret_hash(token),
                    user_id=user_id,
                    created=now(),
                    expires=time_after(lifetime),
                )
            )
            audit.record(connection, user_id, "session.start", user_id)
        return token

    def user(self, token: str) -> User | None:
        """Return the user of a session, or None if it is unknown or expired."""
        query = (
            sa.select(USERS)
            .join(SESSIONS, SESSIONS.c.user_id == USERS.c.id)
            .where(
                SESSIONS.c.token_hash == secret_hash(token),
                SESSIONS.c.expires > now(),
                USERS.c.is_active,
            )
        )
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else user_of(row)

    def end(self, token: str) -> None:
        """End a session; an unknown one is no error."""
        with self._database.write() as connection:
            token_hash = secret_hash(token)
            connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.token_hash == token_hash))
