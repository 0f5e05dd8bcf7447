"""Parse the body of a request, or raise an ApiError that names the wrong field."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError, model_validator

from chatwright.server.errors import ApiError
from chatwright.server.request_body.json_body import read_json_object

MAX_TEXT = 200_000
"""Characters in one text."""

ShortText = Annotated[str, StringConstraints(max_length=512)]
Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]


class Strict(BaseModel):
    """A Pydantic model that refuses unknown fields and does not convert "1" to a number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def null_means_not_given(cls, data: Any) -> Any:
        """Leave out fields that are null: OpenAI's clients send null for fields that are not set.

        A free JSON value in a field, such as a JSON schema, keeps its nulls.
        """
        if not isinstance(data, dict):
            return data
        return {name: value for name, value in data.items() if value is not None}


class Nothing(Strict):
    """An empty body."""


R = TypeVar("R", bound=BaseModel)


def parse_request(body: bytes, kind: type[R]) -> R:
    """Return the request in a body; ApiError (400) if it is invalid."""
    return parse_fields(read_json_object(body), kind)


def parse_fields(data: Any, kind: type[R], names: Mapping[str, str] | None = None) -> R:
    """Return the request with these fields; ApiError (400) if it is invalid.

    Args:
        data: The fields.
        kind: The class of the request.
        names: For errors, the client's names of fields that another API calls otherwise. Then the
            error names only the outermost field, because inner ones may have other places, too.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        found = _api_error(error, data)
    raise found if names is None else renamed(found, names)


def renamed(error: ApiError, names: Mapping[str, str]) -> ApiError:
    """Return the error with the client's name of its field, the outermost one.

    Inner fields may have other places in the client's request, so they are left out.
    """
    if error.param is None:
        return error
    outermost = re.split(r"[.\[]", error.param)[0]
    name = names.get(outermost, outermost)
    message = error.message.replace(error.param, name, 1)
    return ApiError(error.status, message, code=error.code, param=name, headers=error.headers)


@contextmanager
def client_names(names: Mapping[str, str]) -> Iterator[None]:
    """Rename the fields of errors that are raised inside, as `renamed` does."""
    try:
        yield
    except ApiError as error:
        raise renamed(error, names) from None


def _api_error(error: ValidationError, data: Any) -> ApiError:
    """Return the error that names the innermost field. Its value may be a private text: left out.

    A field that takes several types has an error for each of them; the type that fits best fails
    at the innermost field.
    """
    errors: list[Any] = error.errors(include_url=False, include_context=False, include_input=False)
    paths = [_path(data, found["loc"], found["type"]) for found in errors]
    first = max(range(len(errors)), key=lambda index: (len(paths[index]), -index))
    kind, param = errors[first]["type"], field_name(paths[first]) or None
    if kind == "extra_forbidden":
        message = f"{param} is not supported by this server: remove it"
        return ApiError(400, message, code="unsupported_field", param=param)
    if kind == "missing":
        return ApiError(400, f"{param} is missing", code="missing_field", param=param)
    cause = errors[first]["msg"].removeprefix("Value error, ")
    message = f"{param}: {cause}" if param else cause
    return ApiError(400, message, code="invalid_value", param=param)


def _path(data: Any, location: Sequence[int | str], kind: str) -> list[int | str]:
    """Return the part of an error's location that the client sent, without Pydantic's type names.

    The last name of a missing field is kept, too.
    """
    path: list[int | str] = []
    for index, part in enumerate(location):
        is_missing_field = kind == "missing" and index == len(location) - 1
        if _holds(data, part):
            data = data[part]
        elif not is_missing_field:
            continue
        path.append(part)
    return path


def _holds(data: Any, part: int | str) -> bool:
    if isinstance(data, list):
        return isinstance(part, int) and part < len(data)
    return isinstance(data, dict) and part in data


def field_name(path: Sequence[int | str]) -> str:
    """Return a field's name as OpenAI writes it: messages[0].content."""
    name = ""
    for part in path:
        name += f"[{part}]" if isinstance(part, int) else f".{part[:64]}"
    return name.removeprefix(".")
