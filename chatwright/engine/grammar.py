"""Write a constraint as a grammar of `llguidance`, and refuse constraints that are malformed.

JSON has one space after a colon and a comma, and no other white space outside of texts. So a model
cannot fill its reply with white space. Schemas that refer to other documents are refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from llguidance import LLMatcher, LLParserLimits

from chatwright.engine.messages import JSON_STYLE, Constraint
from chatwright.errors import InputError

MAX_SOURCE = 32_768
"""Longest schema or grammar, in characters: a long one takes seconds to compile."""
LIMITS = LLParserLimits(
    initial_lexer_fuel=1_000_000,
    step_lexer_fuel=200_000,
    max_grammar_size=200_000,
    verbose_errors=False,  # errors never hold parts of a reply
)
"""Bounds on the time and memory that one grammar may take."""
SCHEMAS_BY_NAME = ("properties", "patternProperties", "$defs", "definitions")
SCHEMA_LISTS = ("anyOf", "allOf", "oneOf", "prefixItems")
SCHEMAS = ("items", "additionalProperties", "not", "if", "then", "else", "contains")


def grammar_of(constraint: Constraint) -> str:
    """Return the grammar of a constraint; InputError if its schema is no JSON object."""
    match constraint.kind:
        case "json_schema":
            return _json_grammar(_schema_of(constraint.source))
        case "regex":
            return LLMatcher.grammar_from_regex(constraint.source)
        case "lark":
            return constraint.source


def check_constraint(constraint: Constraint) -> None:
    """Raise InputError, with the place in a schema, if no reply can be constrained so.

    The `field` is the constraint's kind, followed by the path of the wrong part of a schema.
    """
    if len(constraint.source) > MAX_SOURCE:
        raise _error(constraint, f"has {len(constraint.source)} characters, more than {MAX_SOURCE}")
    cause = _problem(grammar_of(constraint))
    if not cause:
        return
    path: list[str] = []
    if constraint.kind == "json_schema":
        path, cause = _innermost(_schema_of(constraint.source), cause)
    raise _error(constraint, cause, path)


def _json_grammar(schema: dict[str, Any]) -> str:
    return LLMatcher.grammar_from_json_schema({**schema, "x-guidance": dict(JSON_STYLE)})


def _schema_of(source: str) -> dict[str, Any]:
    try:
        schema = json.loads(source)
    except (ValueError, RecursionError):
        schema = None
    if not isinstance(schema, dict):
        raise _error(Constraint("json_schema", source), "is not a JSON object")
    return schema


def _problem(grammar: str) -> str:
    """Return why a grammar cannot be used, without its text; "" if it can."""
    lines = LLMatcher.validate_grammar(grammar, limits=LIMITS).splitlines()
    return lines[0].strip() if lines else ""


def _innermost(schema: dict[str, Any], cause: str) -> tuple[list[str], str]:
    """Return the path of the innermost part of a schema that is wrong by itself, and its cause."""
    definitions: dict[str, Any] = {
        name: schema[name] for name in ("$defs", "definitions") if name in schema
    }
    path: list[str] = []
    part = schema
    while True:
        for names, inner in _parts_of(part):
            if found := _problem(_json_grammar({**definitions, **inner})):
                path, part, cause = [*path, *names], inner, found
                break
        else:
            return path, cause


def _parts_of(schema: dict[str, Any]) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Yield the schemas inside a schema, with the names that lead to them."""
    for name in SCHEMAS_BY_NAME:
        group = schema.get(name)
        for key, inner in group.items() if isinstance(group, dict) else ():
            if isinstance(inner, dict):
                yield [name, key], inner
    for name in SCHEMA_LISTS:
        group = schema.get(name)
        for index, inner in enumerate(group) if isinstance(group, list) else ():
            if isinstance(inner, dict):
                yield [name, str(index)], inner
    for name in SCHEMAS:
        if isinstance(schema.get(name), dict):
            yield [name], schema[name]


def _error(constraint: Constraint, cause: str, path: list[str] | None = None) -> InputError:
    field = ".".join([constraint.kind, *(path or ())])
    what = {"json_schema": "JSON schema", "regex": "regular expression", "lark": "grammar"}
    return InputError(
        f"The {what[constraint.kind]} cannot be used, at {field}: {cause}.",
        remedy="Change this part, or leave it out.",
        field=field,
    )
