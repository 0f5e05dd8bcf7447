"""Users of a store and their roles."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from chatwright.errors import InputError
from chatwright.store import audit
from chatwright.store.database import Database
from chatwright.store.errors import NotFound
from chatwright.store.identifiers import new_id, now
from chatwright.store.passwords import hash_password, is_outdated, is_password
from chatwright.store.schema import SESSIONS, USERS

Role = Literal["admin", "member", "rater", "learner"]
ROLES: tuple[Role, ...] = get_args(Role)
OWNER = "owner"
"""Name of the user of a server without accounts. It cannot log in."""
NAME = re.compile(r"[^\W_][\w.@+ -]{0,98}[\w.]|[^\W_]")


@dataclass(frozen=True)
class User:
    """A user."""

    id: str
    name: str
    role: Role
    is_active: bool
    """An inactive user cannot log in and has no session."""
    created: str


class Users:
    """The users of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, role: Role, password: str, *, actor: str = audit.HOST) -> User:
        """Add a user who can log in. Raises InputError if the name is taken or unusable."""
        password_hash = hash_password(password)
        with self._database.write() as connection:
            return add_user(connection, name, role, password_hash, actor)

    def owner(self) -> User:
        """Return the user of a server without accounts; add it at the first call."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(USERS).where(USERS.c.name == OWNER)).first()
        if row is not None:
            return user_of(row)
        with self._database.write() as connection:
            row = connection.execute(sa.select(USERS).where(USERS.c.name == OWNER)).first()
            return user_of(row) if row else add_user(connection, OWNER, "admin", "", audit.HOST)

    def list(self) -> tuple[User, ...]:
        """Return all users by name."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(USERS).order_by(USERS.c.name))
            return tuple(user_of(row) for row in rows)

    def find(self, name: str) -> User:
        """Return the user with a name. Raises NotFound."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(USERS).where(USERS.c.name == name)).first()
        if row is None:
            raise NotFound("user", name)
        return user_of(row)

    def check_password(self, name: str, password: str) -> User | None:
        """Return the active user with this name and password, or None."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(USERS).where(USERS.c.name == name)).first()
        is_right = is_password(password, row.password_hash if row else "")
        if not is_right or row is None or not row.is_active:
            return None
        if is_outdated(row.password_hash):
            self._store_password(row.id, hash_password(password))
        return user_of(row)

    def set_password(self, user_id: str, password: str, *, actor: str = audit.HOST) -> None:
        """Change a password and end the user's sessions. Raises NotFound."""
        self._store_password(user_id, hash_password(password))
        with self._database.write() as connection:
            connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.user_id == user_id))
            audit.record(connection, actor, "user.password", user_id)

    def set_role(self, user_id: str, role: Role, *, actor: str = audit.HOST) -> None:
        """Change a role. Raises NotFound, and InputError for an unknown role."""
        require_role(role)
        self._update(user_id, actor, "user.role", role=role)

    def set_active(self, user_id: str, is_active: bool, *, actor: str = audit.HOST) -> None:
        """Allow or refuse log-ins; refusing ends the sessions. Raises NotFound."""
        self._update(user_id, actor, "user.active", is_active=is_active)
        if not is_active:
            with self._database.write() as connection:
                connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.user_id == user_id))

    def rename(self, user_id: str, name: str, *, actor: str = audit.HOST) -> None:
        """Change a name. Raises NotFound, and InputError if the name is taken or unusable."""
        require_name(name)
        try:
            self._update(user_id, actor, "user.rename", name=name)
        except IntegrityError:
            raise name_taken(name) from None

    def _update(self, user_id: str, actor: str, action: str, **values: Any) -> None:
        with self._database.write() as connection:
            changed = sa.update(USERS).where(USERS.c.id == user_id).values(**values)
            if connection.execute(changed).rowcount == 0:
                raise NotFound("user", user_id)
            audit.record(connection, actor, action, user_id, **values)

    def _store_password(self, user_id: str, password_hash: str) -> None:
        with self._database.write() as connection:
            changed = sa.update(USERS).where(USERS.c.id == user_id)
            if connection.execute(changed.values(password_hash=password_hash)).rowcount == 0:
                raise NotFound("user", user_id)


def add_user(
    connection: sa.Connection, name: str, role: Role, password_hash: str, actor: str
) -> User:
    """Add a user in the caller's transaction. Raises InputError."""
    require_name(name)
    require_role(role)
    if connection.execute(sa.select(USERS.c.id).where(USERS.c.name == name)).first():
        raise name_taken(name)
    user = User(new_id("u"), name, role, is_active=True, created=now())
    connection.execute(
        sa.insert(USERS).values(
            id=user.id,
            name=name,
            role=role,
            password_hash=password_hash,
            is_active=True,
            created=user.created,
        )
    )
    audit.record(connection, actor, "user.add", user.id, name=name, role=role)
    return user


def user_of(row: Any) -> User:
    """Return the user in a row of the table."""
    return User(row.id, row.name, row.role, row.is_active, row.created)


def require_role(role: str) -> None:
    """Raise InputError unless this is a role."""
    if role not in ROLES:
        raise InputError(
            f"{role!a} is not a role.",
            remedy=f"Choose one of: {', '.join(ROLES)}.",
            field="role",
            value=role,
        )


def require_name(name: str) -> None:
    """Raise InputError unless this can be the name of a user."""
    if not NAME.fullmatch(name):
        raise InputError(
            f"{name!a} cannot be a name.",
            remedy="Use 1 to 100 letters, digits, spaces and .@+-_, first a letter or digit.",
            field="name",
            value=name,
        )


def name_taken(name: str) -> InputError:
    """Return the error for a name that another user has."""
    return InputError(
        f"There is a user {name!a} already.",
        remedy="Choose another name; chatwright users list shows all.",
        field="name",
        value=name,
    )
