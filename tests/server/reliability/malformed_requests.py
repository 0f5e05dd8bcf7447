"""Malformed requests to every route of an application, and what must hold for each response."""

import json
import random
import re
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

MESSAGES = [{"role": "user", "content": [{"type": "text", "text": "a"}]}]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/completions": {
        "model": "m",
        "prompt": "abc",
        "max_tokens": 2,
        "seed": 3,
        "logprobs": 1,
        "echo": True,
        "stop": ["b"],
        "logit_bias": {"1": 2},
        "n": 1,
        "best_of": 2,
    },
    "/v1/chat/completions": {
        "model": "m",
        "messages": MESSAGES,
        "max_tokens": 2,
        "logprobs": True,
        "top_logprobs": 2,
        "temperature": 0.5,
        "stream": False,
    },
    "/v1/responses": {
        "model": "m",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "a"}]}],
        "max_output_tokens": 2,
        "store": True,
        "previous_response_id": "resp_" + "0" * 32,
        "text": {"format": {"type": "text"}},
    },
    "/v1/messages": {
        "model": "m",
        "messages": [
            *MESSAGES,
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "a", "name": "command", "input": {}}],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]},
        ],
        "max_tokens": 2,
        "system": [{"type": "text", "text": "a"}],
        "stop_sequences": ["b"],
    },
    "/v1/messages/count_tokens": {"model": "m", "messages": MESSAGES},
    "/v1/embeddings": {"model": "m", "input": ["a"], "encoding_format": "base64"},
    "/v1/adapters": {"name": "a", "path": "/nowhere"},
    "/v1/feedback": {"reply": "chatcmpl-0", "kind": "thumb", "is_up": True},
    "/tokenize": {"model": "m", "messages": MESSAGES, "return_token_strs": True},
    "/detokenize": {"model": "m", "tokens": [1, 2]},
}
"""A body of each documented POST route, from which malformed ones are made."""
PAGE_BODY = {"name": "a", "password": "b", "title": "c", "parent": 1, "text": "d", "kind": "thumb"}
"""For the routes of the page: some of their fields."""
WRONG: list[Any] = [None, True, -1, 0, 1.5, 1e308, 10**400, "", "x", "\ud800", "\x00", [], {}]
WRONG += [[[]], [None], {"": {}}, "resp_" + "0" * 32, ["a"] * 300, "é" * 1000, {"type": "text"}]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW")
HEADERS: list[tuple[str, str]] = [
    ("content-type", "text/plain"),
    ("content-type", "application/json; charset=utf-16"),
    ("content-type", ""),
    ("content-encoding", "gzip"),
    ("host", "evil.example"),
    ("host", ""),
    ("origin", "null"),
    ("origin", "http://evil.example"),
    ("sec-fetch-site", "cross-site"),
    ("authorization", "Bearer \x7f"),
    ("x-api-key", "x" * 5000),
    ("accept", "application/nothing"),
    ("range", "bytes=0-1"),
    ("expect", "100-continue"),
]
ERROR_FIELDS = {"message", "type", "code", "param"}


def corrupted(value: Any, draw: random.Random) -> Any:
    """Return the value with some parts replaced, and some names changed."""
    if draw.random() < 0.08:
        return draw.choice(WRONG)
    if isinstance(value, dict):
        return {
            draw.choice(["", "x", "stream", *[key] * 20]): corrupted(inner, draw)
            for key, inner in value.items()
        }
    return [corrupted(inner, draw) for inner in value] if isinstance(value, list) else value


def damaged(body: bytes, draw: random.Random) -> bytes:
    """Return the bytes, sometimes cut, doubled, or with other bytes in them."""
    kind = draw.random()
    place = draw.randrange(len(body) + 1)
    if kind < 0.05:
        return body[:place]
    if kind < 0.08:
        return body[:place] + draw.randbytes(draw.randrange(4)) + body[place:]
    if kind < 0.10:
        return body[:-1] + b"," + body[1:]  # every name twice
    if kind < 0.11:
        return b'{"a":' * draw.choice([70, 3000]) + body
    return body


def requests(app: FastAPI, seed: int, count: int, below: str = "/") -> Iterator[dict[str, Any]]:
    """Yield the arguments of malformed requests to paths `below`; `seed` decides them."""
    draw = random.Random(seed)
    ways = [
        (route.path, method)  # type: ignore[attr-defined]
        for route in app.routes
        for method in sorted(route.methods)  # type: ignore[attr-defined]
        if route.path.startswith(below)  # type: ignore[attr-defined]
    ]
    ways += [way for way in ways if way[0] in BODIES] * 3
    for _ in range(count):
        path, method = draw.choice(ways)
        if draw.random() < 0.1:
            method = draw.choice(METHODS)
        body = json.dumps(corrupted(BODIES.get(path, PAGE_BODY), draw)).encode()
        headers = {"content-type": "application/json"}
        if draw.random() < 0.1:
            headers |= [draw.choice(HEADERS)]
        name = draw.choice(["m", "x", "1", "-1", "%00", "a/b", "..%2f", "%ff", "é", "x" * 3000])
        place = re.sub(r"\{[^}]*\}", name, path)
        if draw.random() < 0.02:
            place += draw.choice(["/", "?a=1", "%2e", "//", "#"])
        yield {
            "method": method,
            "url": place,
            "content": damaged(body, draw),
            "headers": headers,
        }


def problem(client: TestClient, request: dict[str, Any]) -> str:
    """Send a request; return what is wrong with the response, or ""."""
    response = client.request(**request)
    if response.status_code >= 500:
        return f"{request} gave {response.status_code}"
    if response.status_code >= 400 and request["method"] != "HEAD":
        try:
            error = response.json()["error"]
        except (ValueError, KeyError, TypeError):
            return f"{request} gave {response.status_code} and {response.text[:100]}"
        if not (error.keys() >= ERROR_FIELDS and error["message"]):
            return f"{request} gave the error {error}"
    return "" if response.headers.get("x-request-id") else f"{request} has no id"
