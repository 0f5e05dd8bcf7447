"""POST /api/inspect: what the served model computed while it read a text or wrote a reply.

POST /api/words compares rows of its embedding matrix: king - man + woman. The token ids of a reply
are in its full receipt. Answers come from the weights being served.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from chatwright.engine.messages import EngineUnavailable
from chatwright.errors import InputError
from chatwright.server.access.route_access import caller_of, needs
from chatwright.server.completions_api.token_text import token_text
from chatwright.server.errors import ApiError
from chatwright.server.replies.pending_reply import Served
from chatwright.server.request_body.request_parser import ShortText, Strict, parse_request
from chatwright.server.request_body.sampling_request import HeadName, Index
from chatwright.server.service import Service


class Settings(Strict):
    """The sampling settings whose effect on the distribution is shown."""

    temperature: Annotated[float, Field(ge=0, le=100)] = 1.0
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0


class InspectRequest(Strict):
    """The body: a text as token ids, and a question about it."""

    model: ShortText | None = None
    what: Literal["tokens", "next", "attention", "heads", "lens"]
    token_ids: Annotated[list[Index], Field(min_length=1, max_length=200_000)]
    heads_off: list[HeadName] = Field(default_factory=list, max_length=10_000)
    position: Annotated[int, Field(ge=-1, le=1_000_000)] = -1
    """Which token; -1 is the last one."""
    layer: Index = 0
    head: Index = 0
    first: Index = 0
    """The first token whose attention is returned, or that is scored (`tokens`)."""
    rows: Annotated[int, Field(ge=1, le=1_000_000)] = 1_000_000
    """Number of tokens whose attention is returned."""
    top: Annotated[int, Field(ge=1, le=1_000)] = 10
    sampling: Settings = Settings()


class WordsRequest(Strict):
    """The body of POST /api/words: words with signs between them."""

    model: ShortText | None = None
    expression: Annotated[list[ShortText], Field(min_length=1, max_length=19)]
    top: Annotated[int, Field(ge=1, le=100)] = 10


def add(app: FastAPI, service: Service) -> None:
    """Add the route."""

    @app.post("/api/inspect", dependencies=[needs("chat")], include_in_schema=False)
    async def inspect(http: Request) -> Response:
        """Answer a question about the model's computation."""
        request = parse_request(await http.body(), InspectRequest)
        served = await service.model_for(request.model, caller_of(http).user)
        answer = await run_in_threadpool(ask, served, request)
        return JSONResponse(answer)

    @app.post("/api/words", dependencies=[needs("chat")], include_in_schema=False)
    async def words(http: Request) -> Response:
        """Find the words near a sum of words in the embedding matrix."""
        request = parse_request(await http.body(), WordsRequest)
        served = await service.model_for(request.model, caller_of(http).user)
        query = {"what": "words", **request.model_dump(exclude={"model"})}
        return JSONResponse(await run_in_threadpool(_answer, served, query))


def ask(served: Served, request: InspectRequest) -> dict[str, Any]:
    """Ask the engine, and add the texts of the tokens; ApiError if there is no answer."""
    answer = _answer(served, request.model_dump(exclude={"model"}))
    tokenizer = served.assistant.tokenizer

    def with_text(token: dict[str, Any]) -> dict[str, Any]:
        return {**token, "text": token_text(tokenizer, token["id"])[0]}

    for token in answer.get("tokens", ()):
        if token.get("best") is not None:
            token["best_text"] = token_text(tokenizer, token["best"])[0]
    if "tokens" in answer:
        return {**answer, "tokens": [with_text(token) for token in answer["tokens"]]}
    if "layers" in answer:
        return {"layers": [[with_text(token) for token in layer] for layer in answer["layers"]]}
    return answer


def _answer(served: Served, query: dict[str, Any]) -> dict[str, Any]:
    """Ask the engine's process; ApiError if there is no answer."""
    engine: Any = getattr(served.assistant, "engine", None)
    if not hasattr(engine, "inspect"):
        message = "this model runs where it cannot be looked into"
        raise ApiError(404, message, code="no_inspection")
    try:
        answer: dict[str, Any] = engine.inspect(query)
    except InputError as error:
        raise ApiError(400, str(error), code="invalid_value", param=error.field) from None
    except EngineUnavailable:
        message = "the engine is being started again: try again in a few seconds"
        raise ApiError(503, message, code="engine_unavailable", retry_after=5) from None
    return answer
