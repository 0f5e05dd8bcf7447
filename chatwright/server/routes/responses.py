"""POST /v1/responses, and the stored responses: read, list their input, delete."""

from __future__ import annotations

import secrets
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from chatwright.server.access.route_access import caller_of, needs
from chatwright.server.replies.block_stream import BlockReply, respond_with_blocks
from chatwright.server.request_body.request_parser import client_names, parse_request
from chatwright.server.responses_api.reply import ResponsesReply
from chatwright.server.responses_api.request import (
    FIELD_NAMES,
    ResponsesRequest,
    chat_messages,
    items_of,
)
from chatwright.server.responses_api.store import ResponseStore, StoredResponse
from chatwright.server.routes.completions import begin_chat
from chatwright.server.service import Service


def add(app: FastAPI, service: Service) -> None:
    """Add the routes, with an empty store."""
    store = service.responses

    @app.post("/v1/responses", dependencies=[needs("chat")])
    async def create(http: Request) -> Response:
        """Reply to an input, perhaps after an earlier response."""
        request = parse_request(await http.body(), ResponsesRequest)
        user = caller_of(http).user
        served = await service.model_for(request.model, user)
        earlier: list[dict[str, Any]] = []
        if request.previous_response_id is not None:
            param = "previous_response_id"
            earlier = store.get(request.previous_response_id, user, param).messages
        with client_names(FIELD_NAMES):
            chat = request.to_chat(earlier)
            completion, replies = await begin_chat(chat, served, service, user)
        reply = BlockReply(
            f"resp_{secrets.token_hex(16)}", completion, allows_cut=request.truncation == "auto"
        )

        def keep(response: dict[str, Any]) -> None:
            output = chat_messages(items_of(response["output"]))
            messages = [*earlier, *chat_messages(request.items), *output]
            given = [item.model_dump(mode="json") for item in request.items]
            store.add(StoredResponse(user, response, messages, given))

        api = ResponsesReply(request, reply, keep if request.store else lambda _: None)
        with client_names(FIELD_NAMES):
            return await respond_with_blocks(http, api, reply, replies, request.stream)

    _add_stored(app, store)


def _add_stored(app: FastAPI, store: ResponseStore) -> None:
    """Add the routes of stored responses."""

    @app.get("/v1/responses/{response_id}", dependencies=[needs("chat")])
    async def read(http: Request, response_id: str) -> Response:
        """Return a stored response."""
        return JSONResponse(store.get(response_id, caller_of(http).user).response)

    @app.delete("/v1/responses/{response_id}", dependencies=[needs("chat")])
    async def delete(http: Request, response_id: str) -> Response:
        """Delete a stored response. Later ones that continue it stay."""
        store.delete(response_id, caller_of(http).user)
        return JSONResponse({"id": response_id, "object": "response", "deleted": True})

    @app.get("/v1/responses/{response_id}/input_items", dependencies=[needs("chat")])
    async def input_items(http: Request, response_id: str) -> Response:
        """Return the items that the client sent for a response, the newest first."""
        items = [
            {**item, "id": item.get("id") or f"item_{response_id[5:]}{index:04x}"}
            for index, item in enumerate(store.get(response_id, caller_of(http).user).input)
        ][::-1]
        ids = {"first_id": items[0]["id"], "last_id": items[-1]["id"]} if items else {}
        return JSONResponse({"object": "list", "data": items, "has_more": False, **ids})
