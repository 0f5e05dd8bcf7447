"""The stored responses: in memory, bounded, and gone when the server stops.

Each response keeps its whole conversation, so it can be continued after earlier ones are gone. When
the memory is full, the responses go that were used least recently. Nobody reads the response of
another key.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from chatwright.server.errors import ApiError

MAX_BYTES = 64_000_000
"""Memory of all stored responses, measured as JSON."""


@dataclass(frozen=True)
class StoredResponse:
    """A response, and what a later one needs to continue it."""

    user: str
    """Whose response it is."""
    response: dict[str, Any]
    """The body, as it was sent."""
    messages: list[dict[str, Any]]
    """The conversation up to and with this reply, as messages of /v1/chat/completions."""
    input: list[dict[str, Any]]
    """The items that the client sent for this reply."""

    @property
    def n_byte(self) -> int:
        """The size as JSON."""
        texts = (self.response, self.messages, self.input)
        return sum(len(json.dumps(text, ensure_ascii=False).encode()) for text in texts)


class ResponseStore:
    """Stored responses by their ids."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        """Keep at most `max_bytes`."""
        self.max_bytes = max_bytes
        self.n_byte = 0
        self._lock = threading.Lock()
        self._found: OrderedDict[str, tuple[StoredResponse, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._found)

    def add(self, stored: StoredResponse) -> None:
        """Store a response; one that is larger than the whole memory is not kept."""
        n_byte = stored.n_byte
        if n_byte > self.max_bytes:
            return
        with self._lock:
            self._found[stored.response["id"]] = (stored, n_byte)
            self.n_byte += n_byte
            while self.n_byte > self.max_bytes:
                _, (_, n_oldest) = self._found.popitem(last=False)
                self.n_byte -= n_oldest

    def forget_user(self, user: str) -> None:
        """Forget the responses to a user."""
        with self._lock:
            for key in [key for key, (found, _) in self._found.items() if found.user == user]:
                self.n_byte -= self._found.pop(key)[1]

    def get(self, response_id: str, user: str, param: str | None = None) -> StoredResponse:
        """Return a response; ApiError (404) if this user has none with the id.

        `param` names the field of the request that holds the id.
        """
        with self._lock:
            stored, _ = self._found.get(response_id, (None, 0))
            if stored is None or stored.user != user:
                raise _unknown(response_id, param)
            self._found.move_to_end(response_id)
            return stored

    def delete(self, response_id: str, user: str) -> None:
        """Delete a response; ApiError (404) if this user has none with the id."""
        with self._lock:
            stored, n_byte = self._found.get(response_id, (None, 0))
            if stored is None or stored.user != user:
                raise _unknown(response_id, None)
            del self._found[response_id]
            self.n_byte -= n_byte


def _unknown(response_id: str, param: str | None) -> ApiError:
    message = (
        f"there is no response {response_id[:64]!a}: it was deleted, was not stored, is another "
        "user's, or the server has forgotten it"
    )
    return ApiError(404, message, code="response_not_found", param=param)
