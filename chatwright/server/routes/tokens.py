"""POST /tokenize and /detokenize: the served model's tokenizer, in the shape of vLLM's routes.

A text becomes the ids that /v1/completions reads, and messages become the ids that
/v1/chat/completions reads. So a client can count tokens before it asks.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Request
from pydantic import Field, model_validator
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from chatwright.errors import InputError
from chatwright.server.access.route_access import caller_of, needs
from chatwright.server.completions_api.chat_message import ChatMessage, conversation_of
from chatwright.server.completions_api.chat_request import MAX_MESSAGES
from chatwright.server.completions_api.token_text import text_of, token_text
from chatwright.server.errors import ApiError
from chatwright.server.replies.pending_reply import Served
from chatwright.server.request_body.request_parser import ShortText, Strict, Text, parse_request
from chatwright.server.service import Service
from chatwright.tokenizer.chat_template import render_prompt

MAX_TOKENS = 200_000
"""Tokens in one request."""


class TokenizeRequest(Strict):
    """The body of POST /tokenize: a text or a conversation."""

    model: ShortText | None = None
    prompt: Text | None = None
    add_special_tokens: bool = True
    """Whether a text begins with the <bos> token, as in /v1/completions."""
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)] | None = (
        None
    )
    enable_thinking: bool | None = None
    """As in /v1/chat/completions; only for messages."""
    return_token_strs: bool = False

    @model_validator(mode="after")
    def has_text_or_messages(self) -> TokenizeRequest:
        """Refuse a request with both or neither."""
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("send either prompt or messages")
        return self


class DetokenizeRequest(Strict):
    """The body of POST /detokenize."""

    model: ShortText | None = None
    tokens: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=MAX_TOKENS)]


def add(app: FastAPI, service: Service) -> None:
    """Add the routes."""

    # Long texts take long, so a thread of the pool encodes them and other requests continue.
    @app.post("/tokenize", dependencies=[needs("chat")])
    async def tokenize(http: Request) -> Response:
        """Return the token ids of a text or a conversation."""
        request = parse_request(await http.body(), TokenizeRequest)
        served = await service.model_for(request.model, caller_of(http).user)
        return JSONResponse(await run_in_threadpool(tokenized, request, served))

    @app.post("/detokenize", dependencies=[needs("chat")])
    async def detokenize(http: Request) -> Response:
        """Return the text of token ids."""
        request = parse_request(await http.body(), DetokenizeRequest)
        served = await service.model_for(request.model, caller_of(http).user)
        return JSONResponse(await run_in_threadpool(detokenized, request, served))


def tokenized(request: TokenizeRequest, served: Served) -> dict[str, Any]:
    """Return the body of the response; ApiError if the text or conversation is refused."""
    tokenizer = served.assistant.tokenizer
    try:
        if request.messages is not None:
            messages = conversation_of(request.messages)
            ids = render_prompt(messages, tokenizer, request.enable_thinking)
        else:
            bos = [tokenizer.control.bos] if request.add_special_tokens else []
            ids = [*bos, *tokenizer.encode(request.prompt or "")]
    except InputError as error:
        param = "prompt" if request.messages is None else "messages"
        raise ApiError(400, str(error), code="invalid_value", param=param) from None
    body = {"count": len(ids), "max_model_len": served.assistant.context_length, "tokens": ids}
    if request.return_token_strs:
        body["token_strs"] = [token_text(tokenizer, token_id)[0] for token_id in ids]
    return body


def detokenized(request: DetokenizeRequest, served: Served) -> dict[str, Any]:
    """Return the body of the response; ApiError for an id that the model does not have."""
    tokenizer = served.assistant.tokenizer
    for token_id in request.tokens:
        if token_id >= tokenizer.vocab_size:
            message = f"token id {token_id} is outside the model's {tokenizer.vocab_size} ids"
            raise ApiError(400, message, code="invalid_value", param="tokens")
    return {"prompt": text_of(tokenizer, request.tokens)}
