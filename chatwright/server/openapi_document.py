"""The OpenAPI document of the API, served at /openapi.json.

The routes parse their bodies themselves (`request_body/request_parser.py`): errors have OpenAI's
shape, and a field with null counts as not given. So the bodies are added to FastAPI's document
here, from the same Pydantic models.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from chatwright import __version__
from chatwright.server.completions_api.chat_request import ChatRequest
from chatwright.server.completions_api.text_request import TextRequest
from chatwright.server.feedback.feedback_request import FeedbackRequest
from chatwright.server.messages_api.request import CountTokensRequest, MessagesRequest
from chatwright.server.responses_api.request import ResponsesRequest
from chatwright.server.routes.adapters import AdapterRequest
from chatwright.server.routes.embeddings import EmbeddingRequest
from chatwright.server.routes.tokens import DetokenizeRequest, TokenizeRequest

BODIES: dict[str, Any] = {
    "/v1/chat/completions": ChatRequest,
    "/v1/completions": TextRequest,
    "/v1/responses": ResponsesRequest,
    "/v1/messages": MessagesRequest,
    "/v1/messages/count_tokens": CountTokensRequest,
    "/v1/embeddings": EmbeddingRequest,
    "/v1/feedback": FeedbackRequest,
    "/v1/adapters": AdapterRequest,
    "/tokenize": TokenizeRequest,
    "/detokenize": DetokenizeRequest,
}
"""The body of each POST route."""
NULLABLE_TEXT = {"anyOf": [{"type": "string"}, {"type": "null"}]}
ERROR: dict[str, Any] = {
    "title": "Error",
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "code", "param"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "code": {"type": "string"},
                "param": NULLABLE_TEXT,
            },
        }
    },
}


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Return the document of an application with all routes."""
    document = get_openapi(title=app.title, version=__version__, routes=app.routes)
    bodies, schemas = TypeAdapter.json_schemas(
        [(path, "validation", TypeAdapter(body)) for path, body in BODIES.items()],
        ref_template="#/components/schemas/{model}",
    )
    document["components"] = {"schemas": {**schemas["$defs"], "Error": ERROR}}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            responses = {name: _error(name) for name in ("4XX", "5XX")}
            operation["responses"] = {"200": {"description": "Success"}, **responses}
            if method == "post":
                operation["requestBody"] = {
                    "required": True,
                    "content": {"application/json": {"schema": bodies[path, "validation"]}},
                }
    return document


def _error(status: str) -> dict[str, Any]:
    causes = {"4XX": "The request is wrong", "5XX": "The server cannot answer now"}
    return {"description": causes[status], "content": _json("Error")}


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
