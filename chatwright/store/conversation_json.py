"""Conversations and messages as JSON: for the page's API, for export, and back from an export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, get_args

import sqlalchemy as sa

from chatwright.conversation import ROLES, Message
from chatwright.errors import InputError
from chatwright.store.conversations import (
    MAX_TITLE,
    StoredConversation,
    add_conversation,
    change_conversation,
    read_conversation,
)
from chatwright.store.database import Database
from chatwright.store.message_json import message_from_json, parts_to_json
from chatwright.store.messages import (
    Origin,
    State,
    StoredMessage,
    TokenCounts,
    insert_tree,
)
from chatwright.store.schema import CONVERSATIONS

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class WholeConversation:
    """A conversation of an export, with its messages: parents before children."""

    title: str
    messages: tuple[StoredMessage, ...]
    shown: str | None = None
    settings: Mapping[str, Any] | None = None
    created: str = ""
    updated: str = ""


def message_to_json(stored: StoredMessage) -> dict[str, Any]:
    """Return a message as the page's API writes it."""
    return {
        "id": stored.id,
        "parent": stored.parent,
        "role": stored.message.role,
        "state": stored.state,
        "parts": parts_to_json(stored.message.parts),
        "model": stored.origin.model,
        "weights": stored.origin.weights,
        "created": stored.created,
        "tokens": None if stored.tokens is None else asdict(stored.tokens),
        "receipt": stored.receipt,
    }


def conversation_to_json(stored: StoredConversation) -> dict[str, Any]:
    """Return a conversation without its messages."""
    return asdict(stored)


def export_to_json(
    conversation: StoredConversation, messages: Sequence[StoredMessage]
) -> dict[str, Any]:
    """Return a whole conversation, as `whole_from_json` reads it."""
    values = conversation_to_json(conversation)
    whole = {name: values[name] for name in ("title", "created", "updated", "settings", "shown")}
    return {**whole, "messages": [message_to_json(message) for message in messages]}


def whole_from_json(values: Mapping[str, Any]) -> WholeConversation:
    """Return a conversation that `export_to_json` wrote. Raises InputError."""
    messages: list[StoredMessage] = []
    known: set[str] = set()
    items = values.get("messages")
    for index, item in enumerate(items if isinstance(items, list) else ()):
        field = f"messages.{index}"
        stored = _message(item, field)
        if stored.id in known or not (stored.parent is None or stored.parent in known):
            raise _refused(field, "has an id that occurs twice, or a parent that comes later")
        known.add(stored.id)
        messages.append(stored)
    settings, shown = values.get("settings"), values.get("shown")
    return WholeConversation(
        title=_text(values, "title")[:MAX_TITLE],
        messages=tuple(messages),
        shown=shown if isinstance(shown, str) and shown in known else None,
        settings=settings if isinstance(settings, dict) else None,
        created=time_of(values.get("created")),
        updated=time_of(values.get("updated")),
    )


def insert_whole(
    database: Database, user_id: str, whole: WholeConversation, folder: str | None = None
) -> StoredConversation:
    """Store a conversation with new ids, in one transaction. Raises NotFound, InputError."""
    with database.write() as connection:
        stored = add_conversation(
            connection,
            user_id,
            whole.title.replace("\0", " "),
            folder,
            whole.settings or {},
            whole.created,
            whole.updated,
        )
        ids = insert_tree(connection, user_id, stored.id, whole.messages)
        last = whole.messages[-1].id if whole.messages else None
        shown = whole.shown or last
        change_conversation(connection, user_id, stored.id, shown=shown and ids[shown])
        # The time of the last change stays the one of the export.
        is_new = CONVERSATIONS.c.id == stored.id
        changed = sa.update(CONVERSATIONS).where(is_new).values(updated=stored.updated)
        connection.execute(changed)
        return read_conversation(connection, user_id, stored.id)


def _message(values: object, field: str) -> StoredMessage:
    if not isinstance(values, Mapping):
        raise _refused(field, "is not an object")
    role = values.get("role")
    if role not in ROLES:
        raise _refused(f"{field}.role", f"is not one of: {', '.join(ROLES)}")
    try:
        message: Message = message_from_json(role, values.get("parts"))
    except InputError as error:
        problem = f"{field}: {error.problem}"
        raise InputError(problem, remedy=error.remedy, field=f"{field}.{error.field}") from None
    parent = values.get("parent")
    if not (parent is None or isinstance(parent, str)):
        raise _refused(f"{field}.parent", "is not an id")
    state = values.get("state", "complete")
    receipt = values.get("receipt")
    return StoredMessage(
        id=_text(values, "id"),
        parent=parent,
        message=message,
        state=state if state in get_args(State) and state != "pending" else "failed",
        origin=Origin(_text(values, "model")[:512], _text(values, "weights")[:64]),
        tokens=_tokens(values.get("tokens")),
        receipt=receipt if isinstance(receipt, dict) else None,
        created=time_of(values.get("created")),
    )


def _tokens(values: object) -> TokenCounts | None:
    if not isinstance(values, Mapping):
        return None
    numbers = [values.get(name) for name in ("prompt", "cached", "reply")]
    if not all(isinstance(n, int) and 0 <= n < 2**31 for n in numbers):
        return None
    return TokenCounts(*(int(n or 0) for n in numbers))


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return value.replace("\0", " ") if isinstance(value, str) else ""


def time_of(value: object) -> str:
    """Return a time of another program as the store writes it; "" if it is none."""
    try:
        if isinstance(value, str):
            time = datetime.fromisoformat(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            time = datetime.fromtimestamp(value, UTC)
        else:
            return ""
        return time.astimezone(UTC).isoformat(timespec="microseconds")
    except (ValueError, OverflowError, OSError):
        return ""


def _refused(field: str, reason: str) -> InputError:
    remedy = "Import a file that this program, ChatGPT or Open WebUI exported."
    return InputError(f"{field} {reason}.", remedy=remedy, field=field)
