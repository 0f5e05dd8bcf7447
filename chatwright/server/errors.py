"""API errors in the shape of OpenAI: {"error": {"message", "type", "code", "param"}}.

Below /v1/messages they have Anthropic's types, and the fields of its shape beside OpenAI's.

The message of an `ApiError` says what is wrong and what to do. An unexpected exception gives a
response (500) with only an id. The log holds the exception's type and traceback under this id, but
not its message, which could hold text of a conversation.
"""

from __future__ import annotations

import logging
import secrets
import traceback
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Scope

log = logging.getLogger("chatwright.server")

ERROR_TYPES = {404: "not_found_error", 429: "rate_limit_error"}
"""Error types by HTTP status. Others are invalid_request_error below 500, else server_error."""

ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
"""Anthropic's error types by HTTP status."""


class ApiError(Exception):
    """An error that the client sees."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Set the HTTP status and the fields of the body.

        Args:
            status: HTTP status.
            message: Explanation for people.
            code: Identifier for programs.
            param: The field of the request that is wrong.
            retry_after: Seconds after which the client may try again.
            headers: Further headers of the response, such as Allow.
        """
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["retry-after"] = str(retry_after)

    def body(self) -> dict[str, Any]:
        """Return the JSON body of the response."""
        default = "invalid_request_error" if self.status < 500 else "server_error"
        return {
            "error": {
                "message": self.message,
                "type": ERROR_TYPES.get(self.status, default),
                "code": self.code,
                "param": self.param,
            }
        }


def error_response(error: ApiError, scope: Scope) -> JSONResponse:
    """Return the HTTP response for an error of a request."""
    is_anthropic = scope["path"].startswith("/v1/messages")
    body = anthropic_error(error, scope["state"]["request_id"]) if is_anthropic else error.body()
    return JSONResponse(body, status_code=error.status, headers=error.headers)


def anthropic_error(error: ApiError, request_id: str) -> dict[str, Any]:
    """Return the JSON body of an error of /v1/messages; it is also the event of a stream."""
    body = error.body()
    default = "invalid_request_error" if error.status < 500 else "api_error"
    body["error"]["type"] = ANTHROPIC_TYPES.get(error.status, default)
    return {"type": "error", **body, "request_id": request_id}


def internal_error(error: BaseException) -> ApiError:
    """Log where an unexpected error happened, under a new id; return an error with only the id."""
    incident = secrets.token_hex(8)
    stack = "".join(traceback.format_tb(error.__traceback__))
    log.error("internal error %s: %s\n%s", incident, type(error).__name__, stack)
    return ApiError(
        500,
        f"the server failed; its log has the details under {incident}",
        code="internal_error",
    )


async def handle_api_error(request: Request, error: Exception) -> JSONResponse:
    """Return the response for an ApiError."""
    assert isinstance(error, ApiError), "registered for ApiError only"
    return error_response(error, request.scope)


async def handle_http_error(request: Request, error: Exception) -> JSONResponse:
    """Return the response for an error of Starlette."""
    assert isinstance(error, HTTPException), "registered for HTTPException only"
    found = ApiError(error.status_code, str(error.detail), code="http_error", headers=error.headers)
    return error_response(found, request.scope)
