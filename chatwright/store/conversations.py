"""Conversations and folders of users. Every query asks for the owner."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from chatwright.errors import InputError
from chatwright.store.database import Database
from chatwright.store.errors import Conflict, NotFound
from chatwright.store.identifiers import new_id, now
from chatwright.store.message_json import json_text
from chatwright.store.schema import CONVERSATIONS, FOLDERS, MESSAGES

MAX_TITLE = 500
MAX_OBJECT = 20_000
"""Characters of JSON in the settings of a conversation, or in a receipt."""


@dataclass(frozen=True)
class StoredConversation:
    """A conversation without its messages."""

    id: str
    title: str
    folder: str | None
    shown: str | None
    """Id of the last message of the shown branch."""
    settings: Mapping[str, Any]
    created: str
    updated: str


@dataclass(frozen=True)
class Folder:
    """A folder of conversations."""

    id: str
    name: str


@dataclass(frozen=True)
class Page:
    """Some conversations of a list, the latest change first."""

    conversations: tuple[StoredConversation, ...]
    next: str | None
    """Where the list continues; None at its end."""


class Conversations:
    """The conversations of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        user_id: str,
        title: str = "",
        folder: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> StoredConversation:
        """Add an empty conversation. Raises NotFound for another user's folder."""
        with self._database.write() as connection:
            return add_conversation(connection, user_id, title, folder, settings or {})

    def get(self, user_id: str, id_: str) -> StoredConversation:
        """Return a conversation. Raises NotFound."""
        with self._database.read() as connection:
            return read_conversation(connection, user_id, id_)

    def list(
        self, user_id: str, *, folder: str | None = None, before: str | None = None, limit: int = 50
    ) -> Page:
        """Return the conversations, the latest change first.

        Args:
            user_id: The owner.
            folder: Only those in this folder.
            before: `Page.next` of the part before.
            limit: Largest number of conversations.
        """
        query = sa.select(CONVERSATIONS).where(CONVERSATIONS.c.user_id == user_id)
        if folder is not None:
            query = query.where(CONVERSATIONS.c.folder_id == folder)
        place = sa.tuple_(CONVERSATIONS.c.updated, CONVERSATIONS.c.id)
        if before is not None:
            updated, _, id_ = before.partition("~")
            query = query.where(place < sa.tuple_(updated, id_))
        order = (CONVERSATIONS.c.updated.desc(), CONVERSATIONS.c.id.desc())
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(*order).limit(limit + 1)).all()
        found = tuple(_conversation(row) for row in rows[:limit])
        is_more = len(rows) > limit
        return Page(found, f"{found[-1].updated}~{found[-1].id}" if is_more else None)

    def update(
        self,
        user_id: str,
        id_: str,
        *,
        title: str | None = None,
        folder: str | None = None,
        shown: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> StoredConversation:
        """Change what is given; "" as the folder takes the conversation out of its folder.

        Raises NotFound for a conversation, folder or message that the user does not have.
        """
        values: dict[str, Any] = {}
        with self._database.write() as connection:
            if title is not None:
                values["title"] = checked_title(title)
            if folder is not None:
                values["folder_id"] = folder or None
                _require_folder(connection, user_id, values["folder_id"])
            if shown is not None:
                _require_message(connection, id_, shown)
                values["shown"] = shown
            if settings is not None:
                values["settings"] = checked_object(settings, "settings")
            change_conversation(connection, user_id, id_, **values)
            return read_conversation(connection, user_id, id_)

    def delete(self, user_id: str, id_: str) -> None:
        """Delete a conversation with its messages and their feedback. Raises NotFound."""
        with self._database.write() as connection:
            if connection.execute(sa.delete(CONVERSATIONS).where(*_is(user_id, id_))).rowcount == 0:
                raise NotFound("conversation", id_)

    def folders(self, user_id: str) -> tuple[Folder, ...]:
        """Return the folders by name."""
        query = sa.select(FOLDERS).where(FOLDERS.c.user_id == user_id).order_by(FOLDERS.c.name)
        with self._database.read() as connection:
            return tuple(Folder(row.id, row.name) for row in connection.execute(query))

    def add_folder(self, user_id: str, name: str) -> Folder:
        """Add a folder. Raises Conflict if there is one with this name."""
        folder = Folder(new_id("f"), checked_title(name, "name"))
        with self._database.write() as connection:
            _require_new_name(connection, user_id, name)
            row = {"id": folder.id, "user_id": user_id, "name": name, "created": now()}
            connection.execute(sa.insert(FOLDERS).values(row))
        return folder

    def rename_folder(self, user_id: str, id_: str, name: str) -> Folder:
        """Rename a folder. Raises NotFound, and Conflict if the name is taken."""
        checked_title(name, "name")
        with self._database.write() as connection:
            _require_folder(connection, user_id, id_)
            _require_new_name(connection, user_id, name, except_id=id_)
            connection.execute(sa.update(FOLDERS).where(FOLDERS.c.id == id_).values(name=name))
        return Folder(id_, name)

    def delete_folder(self, user_id: str, id_: str) -> None:
        """Delete a folder; its conversations stay. Raises NotFound."""
        with self._database.write() as connection:
            _require_folder(connection, user_id, id_)
            connection.execute(sa.delete(FOLDERS).where(FOLDERS.c.id == id_))


def add_conversation(
    connection: sa.Connection,
    user_id: str,
    title: str,
    folder: str | None,
    settings: Mapping[str, Any],
    created: str = "",
    updated: str = "",
) -> StoredConversation:
    """Add a conversation in the caller's transaction."""
    _require_folder(connection, user_id, folder)
    created = created or now()
    row = {
        "id": new_id("c"),
        "user_id": user_id,
        "folder_id": folder,
        "title": checked_title(title),
        "settings": checked_object(settings, "settings"),
        "created": created,
        "updated": updated or created,
    }
    connection.execute(sa.insert(CONVERSATIONS).values(row))
    return read_conversation(connection, user_id, row["id"] or "")


def read_conversation(connection: sa.Connection, user_id: str, id_: str) -> StoredConversation:
    """Return a conversation in the caller's transaction. Raises NotFound."""
    row = connection.execute(sa.select(CONVERSATIONS).where(*_is(user_id, id_))).first()
    if row is None:
        raise NotFound("conversation", id_)
    return _conversation(row)


def change_conversation(connection: sa.Connection, user_id: str, id_: str, **values: Any) -> None:
    """Set columns and the time of the last change. Raises NotFound."""
    changed = sa.update(CONVERSATIONS).where(*_is(user_id, id_)).values(updated=now(), **values)
    if connection.execute(changed).rowcount == 0:
        raise NotFound("conversation", id_)


def checked_title(text: str, field: str = "title") -> str:
    """Return a title that fits. Raises InputError."""
    if "\0" in text:
        raise InputError(f"The {field} has a null character.", remedy="Leave it out.", field=field)
    if len(text) > MAX_TITLE:
        raise InputError(
            f"The {field} has {len(text)} characters.",
            remedy=f"Use at most {MAX_TITLE} characters.",
            field=field,
        )
    json_text(text)
    return text


def checked_object(values: Mapping[str, Any], field: str) -> str:
    """Return an object of the page as JSON. Raises InputError if it is too large."""
    text = json_text(dict(values))
    if len(text) > MAX_OBJECT:
        raise InputError(
            f"{field} has {len(text):,} characters of JSON.",
            remedy=f"Keep at most {MAX_OBJECT:,}.",
            field=field,
        )
    return text


def _is(user_id: str, id_: str) -> tuple[sa.ColumnElement[bool], ...]:
    return CONVERSATIONS.c.id == id_, CONVERSATIONS.c.user_id == user_id


def _require_folder(connection: sa.Connection, user_id: str, id_: str | None) -> None:
    if id_ is None:
        return
    is_folder = (FOLDERS.c.id == id_, FOLDERS.c.user_id == user_id)
    if connection.execute(sa.select(FOLDERS.c.id).where(*is_folder)).first() is None:
        raise NotFound("folder", id_)


def _require_new_name(
    connection: sa.Connection, user_id: str, name: str, except_id: str = ""
) -> None:
    is_taken = (FOLDERS.c.user_id == user_id, FOLDERS.c.name == name, FOLDERS.c.id != except_id)
    if connection.execute(sa.select(FOLDERS.c.id).where(*is_taken)).first():
        raise Conflict("there is a folder with this name already", "name_taken")


def _require_message(connection: sa.Connection, conversation: str, id_: str) -> None:
    is_message = (MESSAGES.c.id == id_, MESSAGES.c.conversation_id == conversation)
    if connection.execute(sa.select(MESSAGES.c.id).where(*is_message)).first() is None:
        raise NotFound("message", id_)


def _conversation(row: Any) -> StoredConversation:
    return StoredConversation(
        row.id,
        row.title,
        row.folder_id,
        row.shown,
        json.loads(row.settings),
        row.created,
        row.updated,
    )
