"""Read the JSON object in a request's body, strictly.

A name that occurs twice in an object is refused: the client means one of two values, and readers
disagree which. So are NaN and Infinity, numbers that float64 cannot hold, halves of surrogate
pairs, and deep nesting.
"""

from __future__ import annotations

import json
import math
from typing import Any

from chatwright.server.errors import ApiError

MAX_DEPTH = 64
"""Levels of lists and objects in each other."""


def read_json_object(body: bytes) -> dict[str, Any]:
    """Return the object in a body; ApiError (400) if it is anything else."""
    try:
        data = json.loads(
            body.decode("utf-8-sig"),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except RecursionError:
        raise _too_deep() from None
    except ValueError:  # not UTF-8, not JSON, a number of thousands of digits
        raise ApiError(400, "the body is not valid JSON in UTF-8", code="invalid_json") from None
    if not isinstance(data, dict):
        message = 'the body must be a JSON object: {"model": ..., ...}'
        raise ApiError(400, message, code="invalid_json")
    if is_deeper(data, MAX_DEPTH):
        raise _too_deep()
    try:
        require_unicode(json.dumps(data, ensure_ascii=False))
    except ValueError as error:
        raise ApiError(400, str(error), code="invalid_text") from None
    return data


def require_unicode(text: str) -> None:
    r"""Raise ValueError for half of a surrogate pair (a lone "\ud800"), which cannot be encoded."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        message = "the text holds half of a surrogate pair: send whole characters"
        raise ValueError(message) from None


def is_deeper(data: Any, limit: int) -> bool:
    """Return whether lists and objects lie in each other more than `limit` levels deep."""
    level = [data]
    for _ in range(limit):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += value.values()
            elif isinstance(value, list):
                inner += value
        level = [value for value in inner if isinstance(value, dict | list)]
        if not level:
            return False
    return True


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        shown = twice[:64].encode("utf-8", "replace").decode()
        message = f"the name {shown!a} occurs twice in one object: send it once"
        raise ApiError(400, message, code="duplicate_name", param=shown)
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _too_deep() -> ApiError:
    message = f"the body is nested more than {MAX_DEPTH} levels deep"
    return ApiError(400, message, code="invalid_json")
