"""Remember the newest replies, so that feedback can name one by its id.

Memory is bounded in replies and in characters; the oldest replies are forgotten first. Nothing is
written to disk until feedback on a reply is given.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from chatwright.conversation import Conversation, Message

MAX_REPLIES = 10_000
MAX_CHARACTERS = 50_000_000


@dataclass(frozen=True)
class RememberedReply:
    """The replies to one request, with what they answer."""

    prompt: tuple[Message, ...]
    messages: tuple[Message, ...]
    """One per choice of the response."""
    weights: str
    """SHA-256 of the weights that wrote them."""
    user: str = ""
    """Id of the user or key that asked; only this one may rate the replies."""

    @property
    def n_character(self) -> int:
        """Number of characters of prompt and replies."""
        return sum(len(message.text) + 100 for message in (*self.prompt, *self.messages))


class ReplyMemory:
    """The newest replies by id. Every thread may use it."""

    def __init__(
        self, max_replies: int = MAX_REPLIES, max_characters: int = MAX_CHARACTERS
    ) -> None:
        self._max_replies = max_replies
        self._max_characters = max_characters
        self._replies: OrderedDict[str, RememberedReply] = OrderedDict()
        self._n_character = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return the number of remembered requests."""
        return len(self._replies)

    def add(
        self,
        reply_id: str,
        prompt: Conversation,
        messages: Sequence[Message],
        weights: str,
        user: str = "",
    ) -> None:
        """Remember the replies to a request; forget the oldest ones if there are too many."""
        reply = RememberedReply(tuple(prompt), tuple(messages), weights, user)
        with self._lock:
            self._replies[reply_id] = reply
            self._n_character += reply.n_character
            while self._replies and (
                len(self._replies) > self._max_replies or self._n_character > self._max_characters
            ):
                _, forgotten = self._replies.popitem(last=False)
                self._n_character -= forgotten.n_character

    def forget_user(self, user: str) -> None:
        """Forget the replies to a user."""
        with self._lock:
            for reply_id in [key for key, reply in self._replies.items() if reply.user == user]:
                self._n_character -= self._replies.pop(reply_id).n_character

    def get(self, reply_id: str, user: str = "") -> RememberedReply | None:
        """Return the replies to a request of this user; None if there are none, or no more."""
        with self._lock:
            reply = self._replies.get(reply_id)
        return reply if reply is not None and reply.user == user else None
