"""The form that a client asks of a reply: `response_format` of OpenAI's API, and `grammar`."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from chatwright.engine.grammar import MAX_SOURCE, check_constraint
from chatwright.engine.messages import Constraint
from chatwright.errors import InputError
from chatwright.server.errors import ApiError
from chatwright.server.request_body.request_parser import ShortText, Strict

CONSTRAINT_FIELDS = {"json_schema": "response_format", "lark": "grammar", "regex": "grammar"}
"""Field of the request by the kind of the constraint that is made from it."""


class TextFormat(Strict):
    """Free text."""

    type: Literal["text"]


class JsonObjectFormat(Strict):
    """Any JSON object."""

    type: Literal["json_object"]


class NamedSchema(Strict):
    """A JSON schema with its name."""

    name: ShortText = ""
    """Ignored, as `description`: the model is not told of them."""
    description: ShortText = ""
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool = True
    """Ignored: every reply follows the schema."""


class JsonSchemaFormat(Strict):
    """JSON that follows a schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


ResponseFormat = Annotated[
    TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")
]


class GrammarFormat(Strict):
    """Text that follows a grammar. Not OpenAI's."""

    syntax: Literal["lark", "regex"]
    definition: Annotated[str, StringConstraints(min_length=1, max_length=MAX_SOURCE)]


def answer_constraint(
    response_format: TextFormat | JsonObjectFormat | JsonSchemaFormat | None,
    grammar: GrammarFormat | None,
) -> Constraint | None:
    """Return what the text of the reply may be; None for any text."""
    if grammar is not None:
        return Constraint(grammar.syntax, grammar.definition)
    match response_format:
        case JsonObjectFormat():
            return Constraint("json_schema", '{"type": "object"}')
        case JsonSchemaFormat():
            schema = response_format.json_schema.schema_
            return Constraint("json_schema", json.dumps(schema, ensure_ascii=False))
        case _:
            return None


def require_usable(constraint: Constraint | None) -> None:
    """Raise ApiError (400), with the place in the schema, if a constraint cannot be used.

    This may take a second, so call it in a thread of the pool.
    """
    if constraint is None:
        return
    try:
        check_constraint(constraint)
    except InputError as error:
        raise ApiError(400, str(error), code="invalid_value", param=param_of(error)) from None


def param_of(error: InputError) -> str:
    """Return the field of the request that an error of a constraint is about."""
    kind, _, place = error.field.partition(".")
    field = "response_format.json_schema.schema" if kind == "json_schema" else "grammar.definition"
    return f"{field}.{place}" if place else field
