"""POST /v1/chat/completions and /v1/completions: sampled replies, whole or streamed."""

from __future__ import annotations

from functools import partial

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from chatwright.server.access.route_access import caller_of, needs
from chatwright.server.completions_api.chat_request import ChatRequest
from chatwright.server.completions_api.completion import Completion
from chatwright.server.completions_api.text_completion import TextCompletion
from chatwright.server.completions_api.text_request import TextRequest, encode_prompts
from chatwright.server.errors import ApiError
from chatwright.server.replies.answer_recorder import AnswerRecorder, recorder_of
from chatwright.server.replies.pending_reply import Deliver, PendingReply, PendingText, Served
from chatwright.server.replies.response_stream import Replies, respond
from chatwright.server.request_body.request_parser import parse_request
from chatwright.server.request_body.response_format import (
    CONSTRAINT_FIELDS,
    answer_constraint,
    require_usable,
)
from chatwright.server.request_body.tool_request import require_usable_tools
from chatwright.server.service import Service


def add(app: FastAPI, service: Service) -> None:
    """Add the routes."""

    # The served model is read once: another one may be served before the replies are complete.
    @app.post("/v1/chat/completions", dependencies=[needs("chat")])
    async def chat_completions(http: Request) -> Response:
        """Reply to a conversation."""
        request = parse_request(await http.body(), ChatRequest)
        served = await service.model_for(request.model, caller_of(http).user)
        return await complete_chat(http, request, served, service, caller_of(http).user)

    @app.post("/v1/completions", dependencies=[needs("chat")])
    async def completions(http: Request) -> Response:
        """Continue texts."""
        request = parse_request(await http.body(), TextRequest)
        served = await service.model_for(request.model, caller_of(http).user)
        return await complete_texts(http, request, served, service, caller_of(http).user)


async def complete_chat(
    http: Request, request: ChatRequest, served: Served, service: Service, user: str = ""
) -> Response:
    """Answer a request; ApiError if it cannot be answered."""
    recorder = await recorder_of(http, request.model or service.model_name, request.n_generated)
    try:
        completion, replies = await begin_chat(request, served, service, user, recorder)
    except BaseException:
        if recorder is not None:
            recorder.give_up()
        raise
    return await respond(http, completion, replies)


async def begin_chat(
    request: ChatRequest,
    served: Served,
    service: Service,
    user: str = "",
    recorder: AnswerRecorder | None = None,
) -> tuple[Completion, Replies]:
    """Ask the engine for the replies to a conversation; ApiError if it refuses.

    /v1/messages and /v1/responses begin their replies here, too. `user` is the id of the user or
    key, and `recorder` completes an answer of the store.
    """
    form = request.form
    await run_in_threadpool(require_usable, form.constraint)
    served = service.with_canary(served)
    chat_format = served.assistant.tokenizer.chat_format
    await run_in_threadpool(require_usable_tools, form.tools, chat_format)
    completion = Completion(request, served)
    if recorder is not None:
        recorder.set_served(served, completion.seed)
    conversation = request.conversation
    if service.feedback is not None:
        weights, memory = served.identity.feedback_weights, service.feedback.memory
        completion.completed = lambda messages: memory.add(
            completion.id, conversation, messages, weights, user
        )

    def make(index: int, deliver: Deliver) -> PendingReply:
        sampling = request.sampling(index, completion.seed, served.identity.sampling)
        thinking = request.enable_thinking
        pending = PendingReply(conversation, sampling, deliver, served.assistant, thinking, form)
        pending.user = user
        pending.field_names = {
            **pending.field_names,
            **CONSTRAINT_FIELDS,
            "tools": "tools",
            "max_tokens": request.token_limit_name,
        }
        if recorder is not None:
            recorder.follow(pending)
        return pending

    makes = [partial(make, index) for index in range(request.n_generated)]
    return completion, Replies(service.engine, makes)


async def complete_texts(
    http: Request, request: TextRequest, served: Served, service: Service, user: str = ""
) -> Response:
    """Answer a request; ApiError if it cannot be answered."""
    n_reply, limit = len(request.prompts) * request.n_generated, service.engine.limits.max_open
    if n_reply > limit:
        message = f"this asks for {n_reply} replies, and the server accepts {limit}: send fewer"
        raise ApiError(400, message, code="invalid_value", param="prompt")
    # A long text takes long, so a thread of the pool encodes it and other requests continue.
    prompts = await run_in_threadpool(encode_prompts, request, served.assistant.tokenizer)
    constraint = answer_constraint(None, request.grammar)
    await run_in_threadpool(require_usable, constraint)
    completion = TextCompletion(request, served, prompts)

    def make(index: int, deliver: Deliver) -> PendingText:
        pending = PendingText(
            prompts[index // request.n_generated].token_ids,
            request.sampling(index, completion.seed, served.identity.sampling),
            deliver,
            served.assistant,
            scores_prompt=request.scores_prompt,
            is_sampled=request.max_tokens > 0,
            constraint=constraint,
        )
        pending.user = user
        pending.field_names = {**pending.field_names, **CONSTRAINT_FIELDS}
        return pending

    replies = Replies(service.engine, [partial(make, index) for index in range(n_reply)])
    return await respond(http, completion, replies)
