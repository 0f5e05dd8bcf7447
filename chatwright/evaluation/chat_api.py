"""Ask a language model behind an OpenAI-compatible API, at an address that the user named.

Requests go to this address only: redirects are errors, and proxies of the environment are not used.
A key is sent over https, or over http to this machine.
"""

import http.client
import ipaddress
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from chatwright.errors import InputError

RETRIED = (429, 500, 502, 503, 504)
"""Statuses after which the same request may succeed later."""
WAITS = (1.0, 4.0, 16.0)
"""Seconds before each further attempt."""
FIELD = "--judge-url"


@dataclass(frozen=True, kw_only=True)
class ChatApiConfig:
    """Where the model is, and how it is asked."""

    url: str
    """Address of the API, for example http://127.0.0.1:8080/v1."""
    model: str
    """Name of the model there."""
    key: str = ""
    """Key for the header Authorization; "" sends none."""
    max_tokens: int = 512
    """Longest answer; a reasoning model needs room to think."""
    timeout: float = 120.0
    """Seconds until a request without an answer fails."""

    def __post_init__(self) -> None:
        address = urlsplit(self.url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise InputError(
                f"{FIELD} {self.url}: this is no address of an API.",
                remedy="Give for example http://127.0.0.1:8080/v1",
                field=FIELD,
                value=self.url,
            )
        if self.key and address.scheme == "http" and not _is_this_machine(address.hostname):
            raise InputError(
                f"{FIELD} {self.url}: a key over http can be read on the way.",
                remedy="Use an address with https.",
                field=FIELD,
                value=self.url,
            )


class ChatApi:
    """Sends questions to the API and returns the answers' texts."""

    def __init__(self, config: ChatApiConfig, wait: Callable[[float], object] = time.sleep) -> None:
        """Take the settings; `wait` pauses for some seconds before another attempt."""
        self.config = config
        self.wait = wait
        self.address = urlsplit(config.url)

    def ask(self, messages: Sequence[tuple[str, str]]) -> str:
        """Send messages as (role, text) and return the answer. Raises InputError on failure."""
        request = {
            "model": self.config.model,
            "messages": [{"role": role, "content": text} for role, text in messages],
            "temperature": 0,
            "max_tokens": self.config.max_tokens,
        }
        status, body = self._post(json.dumps(request).encode())
        for seconds in WAITS:
            if status not in RETRIED:
                break
            self.wait(seconds)
            status, body = self._post(json.dumps(request).encode())
        if status != 200:
            raise self._failed(f"answered with status {status}: {_short(body)}")
        try:
            content = json.loads(body)["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError):
            raise self._failed("answered with something else than a chat completion") from None
        return content if isinstance(content, str) else ""

    def _post(self, body: bytes) -> tuple[int, bytes]:
        connection = _connect(self.address, self.config.timeout)
        key = {"Authorization": f"Bearer {self.config.key}"} if self.config.key else {}
        headers = {"Content-Type": "application/json", **key}
        try:
            path = f"{self.address.path.rstrip('/')}/chat/completions"
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._failed(f"cannot be reached ({error or type(error).__name__})") from None
        finally:
            connection.close()

    def _failed(self, problem: str) -> InputError:
        return InputError(
            f"The judge at {self.config.url} {problem}.",
            remedy="Check the address, the model's name and the key; answers so far are kept, and "
            "the same command asks only for the others.",
            field=FIELD,
            value=self.config.url,
        )


def _connect(address: SplitResult, timeout: float) -> http.client.HTTPConnection:
    assert address.hostname is not None, "ChatApiConfig checks the address"
    if address.scheme == "https":
        return http.client.HTTPSConnection(address.hostname, address.port, timeout=timeout)
    return http.client.HTTPConnection(address.hostname, address.port, timeout=timeout)


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _short(body: bytes) -> str:
    """Return the API's error message. The rest of the body may hold the conversation."""
    try:
        error: Any = json.loads(body)["error"]
        text = str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, LookupError, TypeError):
        return "no explanation"
    return "".join(c if c.isprintable() else " " for c in text)[:200]
