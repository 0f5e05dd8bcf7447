"""Take feedback on served replies: into the log of the loop, and as votes on a canary."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from chatwright.data.feedback_log import FeedbackLog
from chatwright.data.preferences import Feedback, Thumb
from chatwright.server.feedback.canary import Canary, CanaryState
from chatwright.server.feedback.reply_memory import ReplyMemory


class FeedbackCollector:
    """Remembers replies and takes feedback on them."""

    def __init__(
        self,
        log: Path,
        canary: Canary | None = None,
        decided: Callable[[Canary], None] = lambda canary: None,
    ) -> None:
        """Prepare to take feedback.

        Args:
            log: The file that feedback is appended to; `chatwright feedback snapshot` reads it.
            canary: The candidate that thumbs decide about.
            decided: Called once, when the canary is decided.
        """
        self.memory = ReplyMemory()
        self.log = FeedbackLog(log)
        self.canary = canary
        self._decided = decided
        self._counted: set[str] = set()
        """Ids of the answers in the store whose thumb was counted."""
        self._lock = threading.Lock()

    def take(self, feedback: Feedback) -> CanaryState | None:
        """Write a piece of feedback to disk and count it; return the state of the canary."""
        self.log.append(feedback)
        if self.canary is None:
            return None
        if not isinstance(feedback, Thumb):
            return self.canary.state
        return self._vote(self.canary, feedback.reply.weights, feedback.is_up)

    def count_stored(self, answer: str, weights: str, is_up: bool) -> None:
        """Count the first thumb on an answer of the store as a vote on the canary.

        A thumb that is changed, or taken back and given again, does not count twice.

        Args:
            answer: Id of the answer, which only its user can rate.
            weights: SHA-256 of the weights that wrote it.
            is_up: Whether the answer is good.
        """
        if self.canary is None or self.canary.state != "open":
            return
        with self._lock:
            if answer in self._counted:
                return
            self._counted.add(answer)
        self._vote(self.canary, weights, is_up)

    def start_canary(self, canary: Canary, decided: Callable[[Canary], None]) -> None:
        """Let thumbs decide about a candidate from now on."""
        with self._lock:
            self.canary, self._decided = canary, decided
            self._counted.clear()

    def end_canary(self) -> None:
        """Forget the canary and its votes."""
        self.canary = None

    def _vote(self, canary: Canary, weights: str, is_up: bool) -> CanaryState:
        with self._lock:  # of several votes at once, one decides
            if canary.state != "open":
                return canary.state
            state = canary.vote(weights, is_up)
        if state != "open":
            self._decided(canary)
        return state
