"""/api/conversations, /api/folders and /api/search: what a user keeps."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import FastAPI, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from chatwright.server.request_body.request_parser import ShortText, Strict
from chatwright.server.routes.store.store_route import (
    NO_CONTENT,
    add_route,
    body_of,
    json_response,
    needs_user,
    store_of,
    user_of,
)
from chatwright.store.conversation_json import conversation_to_json

USERS = needs_user()


class NewConversation(Strict):
    """What a new conversation has; all may be left out."""

    title: ShortText = ""
    folder: ShortText | None = None
    settings: dict[str, Any] = Field(default_factory=dict)


class Change(Strict):
    """What changes in a conversation."""

    title: ShortText | None = None
    folder: ShortText | None = None
    shown: ShortText | None = None
    settings: dict[str, Any] | None = None


class FolderName(Strict):
    """The name of a folder."""

    name: Annotated[ShortText, Field(min_length=1, max_length=200)]


def add(app: FastAPI) -> None:
    """Add the routes."""
    add_route(app, "GET", "/api/conversations", list_conversations, USERS)
    add_route(app, "POST", "/api/conversations", create, USERS)
    add_route(app, "GET", "/api/conversations/{id}", read, USERS)
    add_route(app, "PATCH", "/api/conversations/{id}", change, USERS)
    add_route(app, "DELETE", "/api/conversations/{id}", delete, USERS)
    add_route(app, "GET", "/api/search", search, USERS)
    add_route(app, "GET", "/api/folders", list_folders, USERS)
    add_route(app, "POST", "/api/folders", add_folder, USERS)
    add_route(app, "PATCH", "/api/folders/{id}", rename_folder, USERS)
    add_route(app, "DELETE", "/api/folders/{id}", delete_folder, USERS)


def list_conversations(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[str | None, Query(max_length=100)] = None,
    folder: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """List conversations, the latest change first."""
    conversations = store_of(request).conversations
    user_id = user_of(request).id
    page = conversations.list(user_id, folder=folder, before=before, limit=limit)
    found = [conversation_to_json(conversation) for conversation in page.conversations]
    return json_response({"conversations": found, "next": page.next})


def create(request: Request, body: NewConversation = body_of(NewConversation)) -> Response:
    """Add an empty conversation."""
    conversations = store_of(request).conversations
    made = conversations.create(user_of(request).id, body.title, body.folder, body.settings)
    return json_response(conversation_to_json(made), 201)


def read(request: Request, id: str) -> Response:
    """Return a conversation without its messages."""
    found = store_of(request).conversations.get(user_of(request).id, id)
    return json_response(conversation_to_json(found))


def change(request: Request, id: str, body: Change = body_of(Change)) -> Response:
    """Rename a conversation, move it, or change its shown branch or settings."""
    changed = store_of(request).conversations.update(
        user_of(request).id,
        id,
        title=body.title,
        folder=body.folder,
        shown=body.shown,
        settings=body.settings,
    )
    return json_response(conversation_to_json(changed))


def delete(request: Request, id: str) -> Response:
    """Delete a conversation."""
    store_of(request).conversations.delete(user_of(request).id, id)
    return Response(status_code=NO_CONTENT)


def search(
    request: Request,
    q: Annotated[str, Query(max_length=1000)] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Response:
    """Find messages by their words."""
    hits = store_of(request).search.find(user_of(request).id, q, limit)
    return json_response({"hits": [asdict(hit) for hit in hits]})


def list_folders(request: Request) -> Response:
    """List the folders."""
    folders = store_of(request).conversations.folders(user_of(request).id)
    return json_response({"folders": [asdict(folder) for folder in folders]})


def add_folder(request: Request, body: FolderName = body_of(FolderName)) -> Response:
    """Add a folder."""
    folder = store_of(request).conversations.add_folder(user_of(request).id, body.name)
    return json_response(asdict(folder), 201)


def rename_folder(request: Request, id: str, body: FolderName = body_of(FolderName)) -> Response:
    """Rename a folder."""
    folder = store_of(request).conversations.rename_folder(user_of(request).id, id, body.name)
    return json_response(asdict(folder))


def delete_folder(request: Request, id: str) -> Response:
    """Delete a folder; its conversations stay."""
    store_of(request).conversations.delete_folder(user_of(request).id, id)
    return Response(status_code=NO_CONTENT)
