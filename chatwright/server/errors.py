"""API errors in the shape of OpenAI: {"error": {"message", "type", "code", "param"}}.

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

log = logging.getLogger("chatwright.server")

ERROR_TYPES = {404: "not_found_error", 429: "rate_limit_error"}
"""Error types by HTTP status. Others are invalid_request_error below 500, else server_error."""


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


def error_response(error: ApiError) -> JSONResponse:
    """Return the HTTP response for an error."""
    return JSONResponse(error.body(), status_code=error.status, headers=error.headers)


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


async def handle_api_error(_request: Request, error: Exception) -> JSONResponse:
    """Return the response for an ApiError."""
    assert isinstance(error, ApiError), "registered for ApiError only"
    return error_response(error)


async def handle_http_error(_request: Request, error: Exception) -> JSONResponse:
    """Return the response for an error of Starlette: no such route (404), wrong method (405)."""
    assert isinstance(error, HTTPException), "registered for HTTPException only"
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    headers = error.headers
    return error_response(
        ApiError(error.status_code, str(error.detail), code=code, headers=headers)
    )


async def handle_unexpected_error(_request: Request, error: Exception) -> JSONResponse:
    """Return the response for an exception that only a bug can cause."""
    return error_response(internal_error(error))
