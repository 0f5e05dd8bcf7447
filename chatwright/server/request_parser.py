"""Parse the body of a chat request, or raise an ApiError that names the wrong field."""

import json

from pydantic import ValidationError

from chatwright.server.chat_request import ChatRequest, require_unicode
from chatwright.server.errors import ApiError


def parse_request(body: bytes) -> ChatRequest:
    """Return the request in a body; ApiError (400) if it is invalid."""
    try:
        data = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except RecursionError:
        raise ApiError(400, "the body is nested too deeply", code="invalid_json") from None
    except ValueError:  # not UTF-8, not JSON, NaN or Infinity, a number of thousands of digits
        raise ApiError(400, "the body is not valid JSON in UTF-8", code="invalid_json") from None
    if not isinstance(data, dict):
        message = 'the body must be a JSON object: {"model": ..., "messages": [...]}'
        raise ApiError(400, message, code="invalid_json")
    try:
        require_unicode(json.dumps(data, ensure_ascii=False))
    except ValueError as error:
        raise ApiError(400, str(error), code="invalid_text") from None
    # OpenAI's clients send null for fields that are not set.
    fields = {name: value for name, value in data.items() if value is not None}
    try:
        return ChatRequest.model_validate(fields)
    except ValidationError as error:
        raise _api_error(error) from None


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _api_error(error: ValidationError) -> ApiError:
    """Return the first error with its field. The value is left out: it may be a private text."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    param = ".".join(str(part)[:64] for part in first["loc"]) or None
    if first["type"] == "extra_forbidden":
        message = f"{param} is not supported by this server: remove it"
        return ApiError(400, message, code="unsupported_field", param=param)
    if first["type"] == "missing":
        return ApiError(400, f"{param} is missing", code="missing_field", param=param)
    cause = first["msg"].removeprefix("Value error, ")
    message = f"{param}: {cause}" if param else cause
    return ApiError(400, message, code="invalid_value", param=param)
