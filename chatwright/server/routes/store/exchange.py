"""Export and import of conversations: JSON, Markdown, and the files of other programs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from chatwright.errors import InputError
from chatwright.server.request_body.request_parser import ShortText, Strict
from chatwright.server.routes.store.store_route import (
    add_route,
    body_of,
    json_response,
    needs_user,
    store_of,
    user_of,
)
from chatwright.store.conversation_json import (
    FORMAT,
    conversation_to_json,
    export_to_json,
    insert_whole,
)
from chatwright.store.conversations import MAX_TITLE
from chatwright.store.markdown import branch_to_markdown
from chatwright.store.other_exports import read_export

MAX_CONVERSATIONS = 1000


class Import(Strict):
    """Conversations of this program, of ChatGPT or of Open WebUI."""

    conversations: Annotated[list[Any], Field(max_length=MAX_CONVERSATIONS)]
    folder: ShortText | None = None


def add(app: FastAPI) -> None:
    """Add the routes."""
    users = needs_user()
    add_route(app, "GET", "/api/conversations/{id}/export", export, users)
    add_route(app, "POST", "/api/import", import_, users)


def export(
    request: Request, id: str, format: Annotated[Literal["json", "markdown"], Query()] = "json"
) -> Response:
    """Return a conversation as a file."""
    store, user = store_of(request), user_of(request)
    conversation = store.conversations.get(user.id, id)
    if format == "json":
        whole = export_to_json(conversation, store.messages.tree(user.id, id))
        return json_response({"chatwright": FORMAT, "conversations": [whole]})
    shown = conversation.shown
    branch = () if shown is None else store.messages.branch(user.id, shown)
    text = branch_to_markdown(conversation.title, branch)
    return Response(text, media_type="text/markdown; charset=utf-8")


def import_(request: Request, body: Import = body_of(Import)) -> Response:
    """Store conversations; those that cannot be read are reported, and the others are stored."""
    store, user = store_of(request), user_of(request)
    imported, skipped = [], []
    for item in body.conversations:
        try:
            stored = insert_whole(store.database, user.id, read_export(item), body.folder)
        except InputError as error:
            title = item.get("title") if isinstance(item, dict) else ""
            shown = title[:MAX_TITLE] if isinstance(title, str) else ""
            skipped.append({"title": shown, "reason": error.problem})
        else:
            imported.append(conversation_to_json(stored))
    return json_response({"imported": imported, "skipped": skipped}, 201)
