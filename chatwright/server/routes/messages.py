"""POST /v1/messages and /v1/messages/count_tokens: Anthropic's API."""

from __future__ import annotations

import secrets

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from chatwright.errors import InputError
from chatwright.server.access.route_access import caller_of, needs
from chatwright.server.completions_api.chat_request import ChatRequest
from chatwright.server.errors import ApiError
from chatwright.server.messages_api.reply import MessagesReply
from chatwright.server.messages_api.request import (
    FIELD_NAMES,
    CountTokensRequest,
    MessagesRequest,
)
from chatwright.server.replies.block_stream import BlockReply, respond_with_blocks
from chatwright.server.replies.pending_reply import Served
from chatwright.server.request_body.request_parser import client_names, parse_request
from chatwright.server.routes.completions import begin_chat
from chatwright.server.service import Service
from chatwright.tokenizer.chat_template import render_prompt


def add(app: FastAPI, service: Service) -> None:
    """Add the routes."""

    @app.post("/v1/messages", dependencies=[needs("chat")])
    async def messages(http: Request) -> Response:
        """Reply to a conversation, as Anthropic's API does."""
        request = parse_request(await http.body(), MessagesRequest)
        user = caller_of(http).user
        served = await service.model_for(request.model, user)
        with client_names(FIELD_NAMES):
            completion, replies = await begin_chat(request.to_chat(), served, service, user)
        reply = BlockReply(f"msg_{secrets.token_hex(16)}", completion, allows_cut=False)
        api = MessagesReply(request, reply, http.state.request_id)
        with client_names(FIELD_NAMES):
            return await respond_with_blocks(http, api, reply, replies, request.stream)

    @app.post("/v1/messages/count_tokens", dependencies=[needs("chat")])
    async def count_tokens(http: Request) -> Response:
        """Return the number of tokens of a conversation."""
        request = parse_request(await http.body(), CountTokensRequest)
        served = await service.model_for(request.model, caller_of(http).user)
        count = await run_in_threadpool(count_prompt, request.to_chat(), served)
        return JSONResponse({"input_tokens": count})


def count_prompt(request: ChatRequest, served: Served) -> int:
    """Return the number of tokens of a prompt; ApiError if the conversation is refused."""
    tokenizer = served.assistant.tokenizer
    try:
        return len(render_prompt(request.conversation, tokenizer, request.enable_thinking))
    except InputError as error:
        raise ApiError(400, str(error), code="invalid_value", param="messages") from None
