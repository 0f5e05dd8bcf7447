"""Links with which others read one branch of a conversation, without an account.

A link ends at one message. Messages that follow are not shown until the owner renews the link. The
store holds only the hash of a link's token, so neither the database nor a backup opens a link.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from chatwright.store import audit
from chatwright.store.conversations import read_conversation
from chatwright.store.database import Database
from chatwright.store.errors import Conflict, NotFound
from chatwright.store.identifiers import new_id, new_secret, now, secret_hash
from chatwright.store.messages import StoredMessage, read_branch
from chatwright.store.schema import MESSAGES, SHARED_LINKS, USERS


@dataclass(frozen=True)
class SharedLink:
    """A link, without its token."""

    id: str
    message: str
    """The last message that it shows."""
    created: str
    renewed: str


class SharedLinks:
    """The links of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def make(self, user_id: str, conversation: str) -> tuple[SharedLink, str]:
        """Share the shown branch of a conversation; return the link and its token, only here.

        Raises:
            NotFound: The user has no such conversation.
            Conflict: It shows no message, or one that is still being written.
        """
        token = new_secret()
        with self._database.write() as connection:
            created = now()
            end = _end(connection, user_id, conversation)
            link = SharedLink(new_id("l"), end, created, created)
            row = {
                "id": link.id,
                "token_hash": secret_hash(token),
                "user_id": user_id,
                "conversation_id": conversation,
                "message_id": link.message,
                "created": link.created,
                "renewed": link.renewed,
            }
            connection.execute(sa.insert(SHARED_LINKS).values(row))
            audit.record(connection, user_id, "link.make", link.id, conversation=conversation)
        return link, token

    def list(self, user_id: str, conversation: str) -> tuple[SharedLink, ...]:
        """Return the links to a conversation, the oldest first. Raises NotFound."""
        is_of = (
            SHARED_LINKS.c.conversation_id == conversation,
            SHARED_LINKS.c.user_id == user_id,
        )
        query = sa.select(SHARED_LINKS).where(*is_of)
        with self._database.read() as connection:
            read_conversation(connection, user_id, conversation)
            rows = connection.execute(query.order_by(SHARED_LINKS.c.created, SHARED_LINKS.c.id))
            return tuple(_link(row) for row in rows)

    def renew(self, user_id: str, id_: str) -> SharedLink:
        """Let a link end at the message that the conversation shows now.

        Raises NotFound, and Conflict as `make` does.
        """
        with self._database.write() as connection:
            row = connection.execute(sa.select(SHARED_LINKS).where(*_is(user_id, id_))).first()
            if row is None:
                raise NotFound("link", id_)
            end = _end(connection, user_id, row.conversation_id)
            changed = sa.update(SHARED_LINKS).where(*_is(user_id, id_))
            link = SharedLink(id_, end, row.created, now())
            connection.execute(changed.values(message_id=end, renewed=link.renewed))
            audit.record(connection, user_id, "link.renew", id_, conversation=row.conversation_id)
        return link

    def revoke(self, user_id: str, id_: str) -> None:
        """Delete a link, so that its token opens nothing. Raises NotFound."""
        with self._database.write() as connection:
            deleted = sa.delete(SHARED_LINKS).where(*_is(user_id, id_))
            if connection.execute(deleted).rowcount == 0:
                raise NotFound("link", id_)
            audit.record(connection, user_id, "link.revoke", id_)

    def read(self, token: str) -> tuple[StoredMessage, ...]:
        """Return the messages that a token opens. Raises NotFound; also for an inactive owner."""
        query = (
            sa.select(SHARED_LINKS)
            .join(USERS, USERS.c.id == SHARED_LINKS.c.user_id)
            .where(SHARED_LINKS.c.token_hash == secret_hash(token), USERS.c.is_active)
        )
        with self._database.read() as connection:
            row = connection.execute(query).first()
            if row is None:
                raise NotFound("link", "")  # the token is not written anywhere
            return read_branch(connection, row.user_id, row.message_id)


def _end(connection: sa.Connection, user_id: str, conversation: str) -> str:
    """Return the id of the last shown message."""
    shown = read_conversation(connection, user_id, conversation).shown
    query = sa.select(MESSAGES.c.state).where(
        MESSAGES.c.id == shown, MESSAGES.c.conversation_id == conversation
    )
    state = connection.execute(query).scalar()
    if shown is None or state in (None, "pending"):
        message = "this conversation has no message yet, or one that is still being written"
        raise Conflict(message, "not_complete")
    return shown


def _is(user_id: str, id_: str) -> tuple[sa.ColumnElement[bool], ...]:
    return SHARED_LINKS.c.id == id_, SHARED_LINKS.c.user_id == user_id


def _link(row: Any) -> SharedLink:
    return SharedLink(row.id, row.message_id, row.created, row.renewed)
