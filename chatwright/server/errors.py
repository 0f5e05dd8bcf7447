"""Errors as the OpenAI clients expect them: {"error": {"message", "type", "code", "param"}}, whatever went wrong.

A person's mistake says what to change. A bug of ours says only an id: the details go to the log, and never with the text
of a conversation (the log holds the exception's type and place, not its message).
"""

from __future__ import annotations

import logging
import secrets
import traceback
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

log = logging.getLogger("chatwright.server")


class ApiError(Exception):
    """What a client gets to see. `code` is for programs, `message` for people, `param` names the field at fault."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param, self.retry_after = (
            status,
            message,
            code,
            param,
            retry_after,
        )

    def body(self) -> dict[str, Any]:
        usual = "invalid_request_error" if self.status < 500 else "server_error"
        kind = {404: "not_found_error", 429: "rate_limit_error"}.get(self.status, usual)
        return {
            "error": {"message": self.message, "type": kind, "code": self.code, "param": self.param}
        }


def error_response(error: ApiError) -> JSONResponse:
    headers = {"retry-after": str(error.retry_after)} if error.retry_after is not None else None
    return JSONResponse(error.body(), status_code=error.status, headers=headers)


def internal_error(error: BaseException) -> ApiError:
    """Log where it happened under a fresh id, and tell the client only the id."""
    incident = secrets.token_hex(8)
    place = "".join(traceback.format_tb(error.__traceback__))
    log.error("internal error %s: %s\n%s", incident, type(error).__name__, place)
    return ApiError(
        500,
        f"something went wrong inside the server; its log has the details under {incident}",
        code="internal_error",
    )


async def on_api_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError), "registered for ApiError only"
    return error_response(error)


async def on_http_error(_request: Request, error: Exception) -> JSONResponse:
    """Starlette's own refusals: no such route (404), wrong method (405)."""
    assert isinstance(error, HTTPException), "registered for HTTPException only"
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    return error_response(ApiError(error.status_code, str(error.detail), code=code))


async def on_bug(_request: Request, error: Exception) -> JSONResponse:
    return error_response(internal_error(error))
