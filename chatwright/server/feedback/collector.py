"""Take feedback on served replies: into the log of the loop, and as votes on a canary."""

from __future__ import annotations

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

    def take(self, feedback: Feedback) -> CanaryState | None:
        """Write a piece of feedback to disk and count it; return the state of the canary."""
        self.log.append(feedback)
        if self.canary is None:
            return None
        if not isinstance(feedback, Thumb) or self.canary.state != "open":
            return self.canary.state
        state = self.canary.vote(feedback.reply.weights, feedback.is_up)
        if state != "open":
            self._decided(self.canary)
        return state
