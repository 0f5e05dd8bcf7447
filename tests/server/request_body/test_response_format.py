"""Replies that follow a JSON schema or a grammar, through the API."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from starlette.testclient import TestClient

from chatwright.engine.engine import Engine
from tests.server import small_model
from tests.server.byte_model import client_of

URL = "/v1/chat/completions"
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 8},
        "warm": {"type": "boolean"},
        "degrees": {"type": "array", "items": {"type": "integer", "maximum": 99}, "maxItems": 3},
    },
    "required": ["city", "warm", "degrees"],
    "additionalProperties": False,
}
SCHEMA["properties"]["degrees"]["items"]["minimum"] = -99  # type: ignore[index]


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with client_of() as client:
        yield client


def ask(**fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "the weather?"}]
    return {"model": "m", "messages": messages, "max_tokens": 200, "seed": 1, **fields}


def json_schema(schema: object) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "weather", "schema": schema}}


def test_replies_follow_the_schema_streamed_or_not(client: TestClient) -> None:
    validator = Draft202012Validator(SCHEMA)
    texts = set()
    for seed in range(0, 24, 8):
        request = ask(response_format=json_schema(SCHEMA), n=8, seed=seed)
        choices = client.post(URL, json=request).json()["choices"]
        assert {choice["finish_reason"] for choice in choices} == {"stop"}
        texts |= {choice["message"]["content"] for choice in choices}
    assert all(validator.is_valid(json.loads(text)) for text in texts)
    assert len(texts) > 12
    streamed = [""] * 8
    events = client.post(URL, json={**request, "stream": True}).text.split("\n\n")[:-2]
    for event in events:
        for choice in json.loads(event.removeprefix("data: "))["choices"]:
            streamed[choice["index"]] += choice["delta"].get("content") or ""
    assert streamed == [choice["message"]["content"] for choice in choices]


def test_without_a_format_no_reply_follows_the_schema(client: TestClient) -> None:
    for choice in client.post(URL, json=ask(n=8, max_tokens=40)).json()["choices"]:
        with pytest.raises(ValueError, match="."):
            json.loads(choice["message"]["content"])


def test_a_json_object_is_an_object_or_ends_with_length(client: TestClient) -> None:
    request = ask(response_format={"type": "json_object"}, n=8, max_tokens=30)
    for choice in client.post(URL, json=request).json()["choices"]:
        text = choice["message"]["content"]
        assert text.startswith("{")
        if choice["finish_reason"] == "stop":
            assert isinstance(json.loads(text), dict)
        else:
            assert choice["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("grammar", "pattern"),
    [
        ({"syntax": "regex", "definition": "(yes|no)/[0-9]{3}"}, "(yes|no)/[0-9]{3}"),
        ({"syntax": "lark", "definition": 'start: "a" ("b" | "c")~2'}, "a[bc]{2}"),
    ],
)
def test_a_grammar_is_followed(client: TestClient, grammar: dict[str, str], pattern: str) -> None:
    for choice in client.post(URL, json=ask(grammar=grammar, n=4)).json()["choices"]:
        assert re.fullmatch(pattern, choice["message"]["content"])
        assert choice["finish_reason"] == "stop"


SCHEMA_FIELD = "response_format.json_schema.schema"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": json_schema({"type": "strin"})}, SCHEMA_FIELD),
        (
            {"response_format": json_schema({"properties": {"a": {"type": "b"}}})},
            f"{SCHEMA_FIELD}.properties.a",
        ),
        ({"response_format": json_schema([1])}, SCHEMA_FIELD),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"grammar": {"syntax": "regex", "definition": "("}}, "grammar.definition"),
        ({"grammar": {"syntax": "gbnf", "definition": "a"}}, "grammar.syntax"),
        ({"grammar": {"syntax": "regex", "definition": ""}}, "grammar.definition"),
        (
            {
                "grammar": {"syntax": "regex", "definition": "a"},
                "response_format": {"type": "json_object"},
            },
            None,
        ),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_wrong_format_is_refused_with_its_place(
    client: TestClient, fields: dict[str, Any], param: str | None, stream: bool
) -> None:
    response = client.post(URL, json=ask(stream=stream, **fields))
    error = response.json()["error"]
    assert (response.status_code, error["code"]) in ((400, "invalid_value"), (400, "missing_field"))
    assert error["param"] == param


def test_nulls_in_a_schema_are_part_of_it(client: TestClient) -> None:
    request = ask(response_format=json_schema({"const": None}))
    assert client.post(URL, json=request).json()["choices"][0]["message"]["content"] == "null"


def test_a_model_that_cannot_write_json_says_so() -> None:
    with (
        Engine(small_model.small_model()) as engine,
        small_model.client_of_engine(engine) as client,
    ):
        request = ask(response_format={"type": "json_object"}, max_tokens=9)
        request["messages"] = [{"role": "user", "content": "abc"}]
        response = client.post(URL, json=request)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "response_format"
