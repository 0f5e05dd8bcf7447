"""POST /v1/embeddings: vectors of texts from an encoder.

A text that is longer than the model reads is refused, unless the client asks for `truncate`.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from pydantic import Field, StringConstraints
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from chatwright.server.access.route_access import needs
from chatwright.server.embedder import EmbeddedText, PendingVectors, ServedEmbedder
from chatwright.server.errors import ApiError
from chatwright.server.replies.response_stream import Replies, unless_disconnected
from chatwright.server.request_body.request_parser import MAX_TEXT, ShortText, Strict, parse_request
from chatwright.server.service import Service

MAX_TEXTS = 2048

InputText = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT)]


class EmbeddingRequest(Strict):
    """The body of a request; longer ones are refused."""

    model: ShortText
    input: InputText | Annotated[list[InputText], Field(min_length=1, max_length=MAX_TEXTS)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1)] | None = None
    """Only the model's own size is accepted."""
    truncate: bool = False
    """Whether only the beginning of a long text is read. Not OpenAI's."""
    user: ShortText = ""
    """Ignored."""

    @property
    def texts(self) -> list[str]:
        """The texts."""
        return [self.input] if isinstance(self.input, str) else self.input


def add(app: FastAPI, service: Service) -> None:
    """Add the route."""

    @app.post("/v1/embeddings", dependencies=[needs("embeddings")])
    async def embeddings(http: Request) -> Response:
        """Return the vectors of texts."""
        request = parse_request(await http.body(), EmbeddingRequest)
        served = service.require_embedder(request.model)
        require_size(request, served)
        replies = Replies(
            service.engine,
            [lambda deliver: PendingVectors(request.texts, served.embedder, deliver)],
        )
        try:
            return JSONResponse(await unless_disconnected(http, answer(request, served, replies)))
        except ClientDisconnect:
            return Response(status_code=499)  # nobody receives it
        finally:
            replies.cancel()


def require_size(request: EmbeddingRequest, served: ServedEmbedder) -> None:
    """Raise ApiError (400) if the client wants shorter vectors: this model has none."""
    size = served.embedder.vector_size
    if request.dimensions not in (None, size):
        message = f"the vectors of this model have {size} numbers: leave out dimensions"
        raise ApiError(400, message, code="invalid_value", param="dimensions")


async def answer(
    request: EmbeddingRequest, served: ServedEmbedder, replies: Replies
) -> dict[str, Any]:
    """Return the body of the response; ApiError for a text that is too long."""
    found: list[EmbeddedText] = []
    while (item := await replies.next()) is not None:
        _, texts = item  # of the only request
        for text in texts:
            if text.n_left_out and not request.truncate:
                raise _too_long(len(found), text, served.embedder.max_length)
            found.append(text)
    return _body(request, served.name, found)


def _too_long(index: int, text: EmbeddedText, max_length: int) -> ApiError:
    n_token = text.n_token + text.n_left_out
    message = (
        f"text {index} has {n_token} tokens and the model reads {max_length}: shorten it, "
        "or send truncate: true to have only its beginning read"
    )
    return ApiError(400, message, code="context_length_exceeded", param="input")


def _body(request: EmbeddingRequest, name: str, found: Sequence[EmbeddedText]) -> dict[str, Any]:
    is_base64 = request.encoding_format == "base64"
    write: Callable[[Sequence[float]], Any] = to_base64 if is_base64 else list
    n_token = sum(text.n_token for text in found)
    body = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": write(text.vector)}
            for index, text in enumerate(found)
        ],
        "model": name,
        "usage": {"prompt_tokens": n_token, "total_tokens": n_token},
    }
    cut = [
        {"index": index, "n_left_out": text.n_left_out}
        for index, text in enumerate(found)
        if text.n_left_out
    ]
    return {**body, "chatwright": {"truncated": cut}} if cut else body


def to_base64(vector: Sequence[float]) -> str:
    """Write a vector of D numbers as base64 of little-endian float32 numbers."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
