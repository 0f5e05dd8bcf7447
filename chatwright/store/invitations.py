"""Invitations: a code, usable once, with which its receiver makes an account."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from chatwright.errors import InputError
from chatwright.store import audit
from chatwright.store.database import Database
from chatwright.store.identifiers import new_secret, now, secret_hash, time_after
from chatwright.store.passwords import hash_password
from chatwright.store.schema import INVITATIONS
from chatwright.store.users import Role, User, add_user, require_role

LIFETIME = timedelta(days=7)


class Invitations:
    """The invitations of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self, role: Role, *, inviter: User | None = None, lifetime: timedelta = LIFETIME
    ) -> str:
        """Return the code of a new invitation. Only its hash is stored."""
        require_role(role)
        code = new_secret()
        actor = audit.HOST if inviter is None else inviter.id
        with self._database.write() as connection:
            connection.execute(
                sa.insert(INVITATIONS).values(
                    code_hash=secret_hash(code),
                    role=role,
                    created_by=None if inviter is None else inviter.id,
                    created=now(),
                    expires=time_after(lifetime),
                )
            )
            audit.record(connection, actor, "invitation.create", secret_hash(code), role=role)
        return code

    def accept(self, code: str, name: str, password: str) -> User:
        """Add the invited user. Raises InputError for an unusable code, name or password."""
        password_hash = hash_password(password)
        code_hash = secret_hash(code)
        with self._database.write() as connection:
            is_open = (
                INVITATIONS.c.code_hash == code_hash,
                INVITATIONS.c.used.is_(None),
                INVITATIONS.c.expires > now(),
            )
            query = sa.select(INVITATIONS.c.role).where(*is_open).with_for_update()
            role = connection.execute(query).scalar()
            if role is None:
                raise InputError(
                    "The invitation is unknown, used or expired.",
                    remedy="Ask an administrator for another: chatwright users invite.",
                    field="invitation",
                )
            user = add_user(connection, name, role, password_hash, audit.NOBODY)
            connection.execute(
                sa.update(INVITATIONS)
                .where(INVITATIONS.c.code_hash == code_hash)
                .values(used=now(), used_by=user.id)
            )
        return user
