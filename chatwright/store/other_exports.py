"""Read conversations that ChatGPT or Open WebUI exported.

Branches, titles, times and names of models are kept. Images, files, and messages of tools and to
tools are left out: what follows them is attached to the message before them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chatwright.conversation import Message, Role, Text
from chatwright.errors import InputError
from chatwright.store.conversation_json import WholeConversation, time_of, whole_from_json
from chatwright.store.conversations import MAX_TITLE
from chatwright.store.messages import Origin, StoredMessage

ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant"}


@dataclass(frozen=True)
class Node:
    """A message of another program's tree; without a message it only connects others."""

    parent: str | None
    message: Message | None
    model: str
    created: str


def read_export(values: object) -> WholeConversation:
    """Return a conversation of this program, of ChatGPT or of Open WebUI. Raises InputError."""
    if isinstance(values, Mapping):
        if isinstance(values.get("mapping"), Mapping):
            return _chatgpt(values)
        chat = values.get("chat")
        if isinstance(chat, Mapping) and isinstance(chat.get("history"), Mapping):
            return _open_webui(values, chat)
        if isinstance(values.get("messages"), list):
            return whole_from_json(values)
    raise InputError(
        "This is not a conversation of this program, of ChatGPT or of Open WebUI.",
        remedy="Import the file that one of them exported.",
        field="conversations",
    )


def _chatgpt(values: Mapping[str, Any]) -> WholeConversation:
    nodes = {}
    for id_, item in values["mapping"].items():
        if isinstance(item, Mapping):
            message = item.get("message")
            nodes[id_] = _chatgpt_node(item, message if isinstance(message, Mapping) else {})
    return _whole(
        nodes,
        title=values.get("title"),
        shown=values.get("current_node"),
        created=values.get("create_time"),
        updated=values.get("update_time"),
    )


def _chatgpt_node(item: Mapping[str, Any], message: Mapping[str, Any]) -> Node:
    author, content = message.get("author"), message.get("content")
    metadata = message.get("metadata")
    role = _role(author.get("role")) if isinstance(author, Mapping) else None
    is_shown = message.get("recipient", "all") == "all"
    pieces = content.get("parts") if isinstance(content, Mapping) else None
    texts = [piece for piece in pieces or () if isinstance(piece, str)]
    model = metadata.get("model_slug") if isinstance(metadata, Mapping) else ""
    return _node(item.get("parent"), role if is_shown else None, "".join(texts), model, message)


def _open_webui(values: Mapping[str, Any], chat: Mapping[str, Any]) -> WholeConversation:
    nodes = {}
    messages = chat["history"].get("messages")
    for id_, item in (messages if isinstance(messages, Mapping) else {}).items():
        if isinstance(item, Mapping):
            text = item.get("content")
            role = _role(item.get("role"))
            text = text if isinstance(text, str) else ""
            nodes[id_] = _node(item.get("parentId"), role, text, item.get("model"), item)
    return _whole(
        nodes,
        title=values.get("title") or chat.get("title"),
        shown=chat["history"].get("currentId"),
        created=values.get("created_at"),
        updated=values.get("updated_at"),
    )


def _role(name: object) -> Role | None:
    return ROLES.get(name) if isinstance(name, str) else None


def _node(
    parent: object, role: Role | None, text: str, model: object, item: Mapping[str, Any]
) -> Node:
    text = text.replace("\0", " ")
    return Node(
        parent if isinstance(parent, str) else None,
        Message(role, (Text(text),)) if role is not None and text else None,
        model[:512] if isinstance(model, str) and role == "assistant" else "",
        time_of(item.get("create_time") or item.get("timestamp")),
    )


def _whole(
    nodes: dict[str, Node], *, title: object, shown: object, created: object, updated: object
) -> WholeConversation:
    """Return the nodes that have a message, each below the nearest one above it that has one."""
    children: dict[str | None, list[str]] = {}
    for id_, node in nodes.items():
        children.setdefault(node.parent if node.parent in nodes else None, []).append(id_)
    messages: list[StoredMessage] = []
    nearest: dict[str, str | None] = {}  # id of a node -> id of the message there or above
    todo: list[tuple[str, str | None]] = [(id_, None) for id_ in reversed(children.get(None, []))]
    while todo:
        id_, above = todo.pop()
        node = nodes[id_]
        nearest[id_] = above
        if node.message is not None:
            origin = Origin(node.model)
            messages.append(
                StoredMessage(
                    id_, above, node.message, "complete", origin, None, None, node.created
                )
            )
            nearest[id_] = id_
        todo += [(child, nearest[id_]) for child in reversed(children.get(id_, []))]
    return WholeConversation(
        title=title.replace("\0", " ")[:MAX_TITLE] if isinstance(title, str) else "",
        messages=tuple(messages),
        shown=nearest.get(shown) if isinstance(shown, str) else None,
        created=time_of(created),
        updated=time_of(updated),
    )
