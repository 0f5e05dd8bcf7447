"""Parse the body of a request, or raise an ApiError that names the wrong field."""

import json
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from chatwright.server.errors import ApiError

MAX_TEXT = 200_000
"""Characters in one text."""

ShortText = Annotated[str, StringConstraints(max_length=512)]
Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]


class Strict(BaseModel):
    """A Pydantic model that refuses unknown fields and does not convert "1" to a number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


R = TypeVar("R", bound=Strict)


def parse_request(body: bytes, kind: type[R]) -> R:
    """Return the request in a body; ApiError (400) if it is invalid."""
    try:
        data = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except RecursionError:
        raise ApiError(400, "the body is nested too deeply", code="invalid_json") from None
    except ValueError:  # not UTF-8, not JSON, NaN or Infinity, a number of thousands of digits
        raise ApiError(400, "the body is not valid JSON in UTF-8", code="invalid_json") from None
    if not isinstance(data, dict):
        message = 'the body must be a JSON object: {"model": ..., ...}'
        raise ApiError(400, message, code="invalid_json")
    try:
        require_unicode(json.dumps(data, ensure_ascii=False))
    except ValueError as error:
        raise ApiError(400, str(error), code="invalid_text") from None
    # OpenAI's clients send null for fields that are not set.
    fields = {name: value for name, value in data.items() if value is not None}
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise _api_error(error) from None


def require_unicode(text: str) -> None:
    r"""Raise ValueError for half of a surrogate pair (a lone "\ud800"), which cannot be encoded."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        message = "the text holds half of a surrogate pair: send whole characters"
        raise ValueError(message) from None


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _api_error(error: ValidationError) -> ApiError:
    """Return the first error with its field. The value is left out: it may be a private text."""
    first: Any = error.errors(include_url=False, include_context=False, include_input=False)[0]
    param = ".".join(str(part)[:64] for part in first["loc"]) or None
    if first["type"] == "extra_forbidden":
        message = f"{param} is not supported by this server: remove it"
        return ApiError(400, message, code="unsupported_field", param=param)
    if first["type"] == "missing":
        return ApiError(400, f"{param} is missing", code="missing_field", param=param)
    cause = first["msg"].removeprefix("Value error, ")
    message = f"{param}: {cause}" if param else cause
    return ApiError(400, message, code="invalid_value", param=param)
