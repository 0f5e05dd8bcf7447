"""Measure a running server: many clients at once, each with a stream at a time.

Every prompt begins with words of its own, so no prompt is in the server's cache. Times are those of
the client: from sending a request to the first piece of text, and between two pieces.
"""

from __future__ import annotations

import http.client
import itertools
import json
import math
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from chatwright.errors import InputError

WORDS = ("sea", "salt", "ship", "wind", "wave", "sand", "rock", "bird", "boat", "moon")


@dataclass(frozen=True, kw_only=True)
class LoadConfig:
    """What the clients send, and where."""

    url: str
    """Address of the server, for example http://127.0.0.1:8000."""
    n_client: int = 8
    """Number of clients, each with one request at a time."""
    n_request: int = 64
    """Number of requests of all clients together."""
    max_tokens: int = 64
    """Longest reply."""
    n_word: int = 50
    """Words in each prompt."""
    model: str = ""
    """Name of the model; "" asks the server for the first one that replies."""
    key: str = ""
    """Key of the server; "" sends none."""
    timeout: float = 300.0
    """Seconds without any byte after which a request fails."""

    def __post_init__(self) -> None:
        address = urlsplit(self.url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise InputError(
                f"{self.url} is not the address of a server.",
                remedy="Give for example http://127.0.0.1:8000",
                field="url",
                value=self.url,
            )
        for name in ("n_client", "n_request", "max_tokens", "n_word"):
            if getattr(self, name) < 1:
                raise InputError(
                    f"{name} is {getattr(self, name)}, but must be at least 1.",
                    remedy="Give a larger number.",
                    field=name,
                    value=getattr(self, name),
                )


@dataclass
class LoadResult:
    """What the clients measured."""

    n_ok: int = 0
    n_refused: int = 0
    """Requests that the server refused for now (429, 503)."""
    n_failed: int = 0
    failure: str = ""
    """The cause of the first failure."""
    seconds: float = 0.0
    """Time of the whole measurement."""
    n_prompt_token: int = 0
    n_token: int = 0
    """Sampled tokens."""
    first: list[float] = field(default_factory=list)
    """Seconds to the first piece of text, for each reply."""
    between: list[float] = field(default_factory=list)
    """Seconds between two pieces of text, of all replies."""

    def figures(self) -> dict[str, float]:
        """Return the figures, times in milliseconds."""
        return {
            "replies": self.n_ok,
            "refused": self.n_refused,
            "failed": self.n_failed,
            "seconds": round(self.seconds, 3),
            "tokens_per_second": round(self.n_token / max(self.seconds, 1e-9), 1),
            "prompt_tokens": self.n_prompt_token,
            "sampled_tokens": self.n_token,
            "first_token_p50_ms": _milliseconds(self.first, 0.50),
            "first_token_p99_ms": _milliseconds(self.first, 0.99),
            "between_tokens_p50_ms": _milliseconds(self.between, 0.50),
            "between_tokens_p99_ms": _milliseconds(self.between, 0.99),
        }


def measure_load(config: LoadConfig) -> LoadResult:
    """Send the requests and return the measurements; InputError if no server answers."""
    model = config.model or _served_model(config)
    result = LoadResult()
    lock = threading.Lock()
    numbers = itertools.count()

    def client() -> None:
        while (number := next(numbers)) < config.n_request:
            one = _reply(config, model, number)
            with lock:
                _add(result, one)

    threads = [threading.Thread(target=client, daemon=True) for _ in range(config.n_client)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    result.seconds = time.perf_counter() - began
    return result


def _add(total: LoadResult, one: LoadResult) -> None:
    total.n_ok += one.n_ok
    total.n_refused += one.n_refused
    total.n_failed += one.n_failed
    total.failure = total.failure or one.failure
    total.n_prompt_token += one.n_prompt_token
    total.n_token += one.n_token
    total.first += one.first
    total.between += one.between


def _reply(config: LoadConfig, model: str, number: int) -> LoadResult:
    """Ask for one reply and return what was measured."""
    draw = random.Random(number)
    words = " ".join(draw.choice(WORDS) for _ in range(config.n_word))
    body = {
        "model": model,
        "messages": [{"role": "user", "content": words}],
        "max_tokens": config.max_tokens,
        "seed": number,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    result = LoadResult()
    connection = _connect(config)
    before = time.perf_counter()
    try:
        connection.request("POST", _path(config, "/v1/chat/completions"), **_sent(config, body))
        response = connection.getresponse()
        if response.status != 200:
            if response.status in (429, 503):
                return LoadResult(n_refused=1)
            return _failed(f"status {response.status}: {_message(response.read())}")
        for event in _events(response):
            if "error" in event:
                return _failed(_message(json.dumps(event).encode()))
            if usage := event.get("usage"):
                result.n_prompt_token = usage["prompt_tokens"]
                result.n_token = usage["completion_tokens"]
                result.n_ok = 1
            deltas = [choice["delta"] for choice in event["choices"]]
            if any(delta.get("content") or delta.get("reasoning_content") for delta in deltas):
                now = time.perf_counter()
                (result.between if result.first else result.first).append(now - before)
                before = now
    except (OSError, http.client.HTTPException) as error:
        return _failed(str(error) or type(error).__name__)
    finally:
        connection.close()
    return result if result.n_ok else _failed("the stream ended early")


def _failed(cause: str) -> LoadResult:
    return LoadResult(n_failed=1, failure=cause)


def _message(body: bytes) -> str:
    """Return the message of an error's body; "no explanation" without one."""
    try:
        text = str(json.loads(body)["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return "no explanation"
    return "".join(c if c.isprintable() else " " for c in text)[:300]


def _events(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream as soon as they are here."""
    for line in response:
        if line.startswith(b"data: {"):
            yield json.loads(line.removeprefix(b"data: "))


def _served_model(config: LoadConfig) -> str:
    """Return the name of the model that replies."""
    connection = _connect(config)
    try:
        connection.request("GET", _path(config, "/v1/models"), **_sent(config))
        response = connection.getresponse()
        cards = json.loads(response.read())["data"] if response.status == 200 else []
    except (OSError, http.client.HTTPException, ValueError, LookupError) as error:
        raise _no_server(config, f"does not answer ({type(error).__name__})") from None
    finally:
        connection.close()
    if response.status != 200:
        raise _no_server(config, f"answers with status {response.status}")
    names = [str(card["id"]) for card in cards if _replies(card)]
    if not names:
        raise _no_server(config, "serves no model that replies")
    return names[0]


def _replies(card: dict[str, Any]) -> bool:
    return (card.get("chatwright") or {}).get("task", "generate") == "generate"


def _no_server(config: LoadConfig, problem: str) -> InputError:
    return InputError(
        f"The server at {config.url} {problem}.",
        remedy="Start it with chatwright serve DIR, and give the address that it prints.",
        field="url",
        value=config.url,
    )


def _connect(config: LoadConfig) -> http.client.HTTPConnection:
    address = urlsplit(config.url)
    assert address.hostname is not None, "LoadConfig checks the address"
    is_https = address.scheme == "https"
    kind = http.client.HTTPSConnection if is_https else http.client.HTTPConnection
    return kind(address.hostname, address.port, timeout=config.timeout)


def _path(config: LoadConfig, path: str) -> str:
    return urlsplit(config.url).path.rstrip("/").removesuffix("/v1") + path


def _sent(config: LoadConfig, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return headers and body of a request."""
    headers = {"Authorization": f"Bearer {config.key}"} if config.key else {}
    if body is None:
        return {"headers": headers}
    headers["Content-Type"] = "application/json"
    return {"headers": headers, "body": json.dumps(body).encode()}


def _milliseconds(times: Sequence[float], share: float) -> float:
    """Return a quantile by the nearest rank, in milliseconds; NaN without times."""
    if not times:
        return math.nan
    return round(sorted(times)[max(math.ceil(share * len(times)) - 1, 0)] * 1000, 2)
