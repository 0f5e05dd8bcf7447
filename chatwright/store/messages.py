"""The messages of conversations: a tree of turns, one row each.

A question and its pending answer are stored in one transaction; a later one completes the answer.
An edited question, or another reply to the same question, is a second child of the same parent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import sqlalchemy as sa

from chatwright.conversation import Message
from chatwright.store.conversations import (
    change_conversation,
    checked_object,
    read_conversation,
)
from chatwright.store.database import Database
from chatwright.store.errors import Conflict, NotFound
from chatwright.store.idempotency import Retry, ids_of_first_request, remember
from chatwright.store.identifiers import new_id, now, time_after
from chatwright.store.message_json import json_text, message_from_json, parts_to_json
from chatwright.store.schema import MESSAGES

State = Literal["pending", "complete", "partial", "failed"]


@dataclass(frozen=True)
class TokenCounts:
    """Numbers of tokens of an answer."""

    prompt: int
    cached: int
    """Tokens of the prompt that were not computed again."""
    reply: int


@dataclass(frozen=True)
class Origin:
    """Which model writes an answer."""

    model: str = ""
    """The name that clients ask for."""
    weights: str = ""
    """SHA-256 of the weights; "" if it is not known."""


@dataclass(frozen=True)
class Answer:
    """What completes a pending answer."""

    message: Message
    state: State = "complete"
    tokens: TokenCounts | None = None
    receipt: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class StoredMessage:
    """One message of the tree."""

    id: str
    parent: str | None
    message: Message
    state: State
    origin: Origin
    tokens: TokenCounts | None
    receipt: Mapping[str, Any] | None
    created: str


class Messages:
    """The messages of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        user_id: str,
        conversation: str,
        parent: str | None,
        message: Message,
        *,
        answer_by: Origin | None = None,
        receipt: Mapping[str, Any] | None = None,
        retry: Retry | None = None,
    ) -> tuple[StoredMessage, StoredMessage | None]:
        """Add a message and, with `answer_by`, the pending answer to it, in one transaction.

        `receipt` is what is known of the answer before it is written. `retry` is the client's
        idempotency key: a repeated request returns what the first one added.

        Raises:
            NotFound: The user has no such conversation, or it has no such parent.
            Conflict: `retry` names the key of another request.
        """
        with self._database.write() as connection:
            read_conversation(connection, user_id, conversation)
            ids = ids_of_first_request(connection, user_id, retry)
            if not ids:
                ids = [_insert(connection, user_id, conversation, parent, message)]
                if answer_by is not None:
                    ids.append(
                        _insert_pending(
                            connection, user_id, conversation, ids[0], answer_by, receipt
                        )
                    )
                change_conversation(connection, user_id, conversation, shown=ids[-1])
                remember(connection, user_id, retry, ids)
            added = [_read(connection, user_id, id_) for id_ in ids]
        return added[0], added[1] if len(added) > 1 else None

    def add_answer(
        self,
        user_id: str,
        conversation: str,
        parent: str,
        origin: Origin,
        *,
        receipt: Mapping[str, Any] | None = None,
        retry: Retry | None = None,
    ) -> StoredMessage:
        """Add a pending answer to a message that exists. Raises NotFound and Conflict."""
        with self._database.write() as connection:
            read_conversation(connection, user_id, conversation)
            ids = ids_of_first_request(connection, user_id, retry)
            if not ids:
                ids = [_insert_pending(connection, user_id, conversation, parent, origin, receipt)]
                change_conversation(connection, user_id, conversation, shown=ids[0])
                remember(connection, user_id, retry, ids)
            return _read(connection, user_id, ids[0])

    def complete(
        self,
        user_id: str,
        id_: str,
        answer: Answer,
        conversation: str = "",
        origin: Origin | None = None,
    ) -> StoredMessage:
        """Complete a pending answer, once.

        Args:
            user_id: The owner.
            id_: The pending answer.
            answer: The text, state and token counts to store.
            conversation: The conversation in which it must be, if it is given.
            origin: Which model wrote it, if it is another than announced.

        Raises:
            NotFound: The user has no such message there.
            Conflict: It is not pending.
        """
        counts = answer.tokens
        values = {
            **_content(answer.message),
            "state": answer.state,
            "n_prompt_token": counts and counts.prompt,
            "n_cached_token": counts and counts.cached,
            "n_token": counts and counts.reply,
            "receipt": _receipt(answer.receipt),
            "completed": now(),
            **({} if origin is None else {"model": origin.model, "weights": origin.weights}),
        }
        is_pending = (*_is(user_id, id_), MESSAGES.c.state == "pending")
        with self._database.write() as connection:
            holder = sa.select(MESSAGES.c.conversation_id).where(*_is(user_id, id_))
            found = connection.execute(holder).scalar()
            if found is None or conversation not in ("", found):
                raise NotFound("message", id_)
            changed = sa.update(MESSAGES).where(*is_pending).values(values)
            if connection.execute(changed).rowcount == 0:
                raise Conflict("this message is not a pending answer", "not_pending")
            change_conversation(connection, user_id, found)
            return _read(connection, user_id, id_)

    def get(self, user_id: str, id_: str) -> StoredMessage:
        """Return one message. Raises NotFound."""
        with self._database.read() as connection:
            return _read(connection, user_id, id_)

    def tree(self, user_id: str, conversation: str) -> tuple[StoredMessage, ...]:
        """Return all messages, parents before children, siblings by age. Raises NotFound."""
        query = sa.select(MESSAGES).where(
            MESSAGES.c.conversation_id == conversation, MESSAGES.c.user_id == user_id
        )
        with self._database.read() as connection:
            read_conversation(connection, user_id, conversation)
            rows = connection.execute(query.order_by(MESSAGES.c.number))
            return tuple(_message(row) for row in rows)

    def branch(self, user_id: str, id_: str) -> tuple[StoredMessage, ...]:
        """Return the messages from the root to this one. Raises NotFound."""
        with self._database.read() as connection:
            return read_branch(connection, user_id, id_)

    def fail_pending(self, age: timedelta = timedelta(0)) -> int:
        """Mark pending answers of at least this age as failed; return their number.

        A stopped server leaves them. Younger ones may belong to another server with this store.
        """
        is_left = (MESSAGES.c.state == "pending", MESSAGES.c.created <= time_after(-age))
        changed = sa.update(MESSAGES).where(*is_left)
        with self._database.write() as connection:
            return connection.execute(changed.values(state="failed", completed=now())).rowcount


def read_branch(connection: sa.Connection, user_id: str, id_: str) -> tuple[StoredMessage, ...]:
    """Return the messages from the root to this one in the caller's transaction."""
    last = sa.select(MESSAGES).where(*_is(user_id, id_)).cte("branch", recursive=True)
    above = sa.select(MESSAGES).join(
        last,
        sa.and_(
            MESSAGES.c.id == last.c.parent_id,
            MESSAGES.c.conversation_id == last.c.conversation_id,
        ),
    )
    branch = last.union_all(above)
    rows = connection.execute(sa.select(branch).order_by(branch.c.number)).all()
    if not rows:
        raise NotFound("message", id_)
    return tuple(_message(row) for row in rows)


def insert_tree(
    connection: sa.Connection, user_id: str, conversation: str, messages: Iterable[StoredMessage]
) -> dict[str, str]:
    """Insert imported messages, parents first; return their new ids by their old ones."""
    ids: dict[str, str] = {}
    rows = []
    for stored in messages:
        parent = None if stored.parent is None else ids[stored.parent]
        tokens = stored.tokens
        row = _row(
            user_id,
            conversation,
            parent,
            stored.message,
            state=stored.state,
            model=stored.origin.model,
            weights=stored.origin.weights,
            created=stored.created or now(),
            receipt=_receipt(stored.receipt),
            n_prompt_token=tokens and tokens.prompt,
            n_cached_token=tokens and tokens.cached,
            n_token=tokens and tokens.reply,
        )
        ids[stored.id] = row["id"]
        rows.append(row)
    if rows:
        connection.execute(sa.insert(MESSAGES), rows)
    return ids


def _insert_pending(
    connection: sa.Connection,
    user_id: str,
    conversation: str,
    parent: str,
    origin: Origin,
    receipt: Mapping[str, Any] | None,
) -> str:
    values = {
        "state": "pending",
        "model": origin.model,
        "weights": origin.weights,
        "receipt": _receipt(receipt),
    }
    empty = Message("assistant", ())
    return _insert(connection, user_id, conversation, parent, empty, **values)


def _insert(
    connection: sa.Connection,
    user_id: str,
    conversation: str,
    parent: str | None,
    message: Message,
    **values: Any,
) -> str:
    if parent is not None:
        is_parent = (*_is(user_id, parent), MESSAGES.c.conversation_id == conversation)
        if connection.execute(sa.select(MESSAGES.c.id).where(*is_parent)).first() is None:
            raise NotFound("message", parent)
    row = _row(user_id, conversation, parent, message, **values)
    connection.execute(sa.insert(MESSAGES).values(row))
    return str(row["id"])


def _row(
    user_id: str, conversation: str, parent: str | None, message: Message, **values: Any
) -> dict[str, Any]:
    return {
        "id": new_id("m"),
        "conversation_id": conversation,
        "user_id": user_id,
        "parent_id": parent,
        "role": message.role,
        "state": "complete",
        "model": "",
        "weights": "",
        "created": now(),
        **_content(message),
        **values,
    }


def _content(message: Message) -> dict[str, str]:
    parts = json_text(parts_to_json(message.parts))
    return {"parts": parts, "text": message.text.replace("\0", " ")}


def _receipt(receipt: Mapping[str, Any] | None) -> str | None:
    return None if receipt is None else checked_object(receipt, "receipt")


def _read(connection: sa.Connection, user_id: str, id_: str) -> StoredMessage:
    row = connection.execute(sa.select(MESSAGES).where(*_is(user_id, id_))).first()
    if row is None:
        raise NotFound("message", id_)
    return _message(row)


def _is(user_id: str, id_: str) -> tuple[sa.ColumnElement[bool], ...]:
    return MESSAGES.c.id == id_, MESSAGES.c.user_id == user_id


def _message(row: Any) -> StoredMessage:
    counts = (row.n_prompt_token, row.n_cached_token, row.n_token)
    return StoredMessage(
        row.id,
        row.parent_id,
        message_from_json(row.role, json.loads(row.parts)),
        row.state,
        Origin(row.model, row.weights),
        None if None in counts else TokenCounts(*counts),
        None if row.receipt is None else json.loads(row.receipt),
        row.created,
    )
