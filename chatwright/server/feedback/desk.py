"""Take feedback on served replies: into the log of the loop, and as votes on a canary."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from chatwright.data.feedback_log import FeedbackLog
from chatwright.data.preferences import Feedback, Thumb
from chatwright.server.feedback.canary import Canary, Verdict
from chatwright.server.feedback.reply_memory import ReplyMemory


class FeedbackDesk:
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
            decided: Called once, when the canary has a verdict.
        """
        self.memory = ReplyMemory()
        self.log = FeedbackLog(log)
        self.canary = canary
        self._decided = decided

    def take(self, feedback: Feedback) -> Verdict | None:
        """Write a piece of feedback to disk and count it; return the canary's verdict, if any."""
        self.log.append(feedback)
        if self.canary is None:
            return None
        if not isinstance(feedback, Thumb) or self.canary.verdict != "open":
            return self.canary.verdict
        verdict = self.canary.vote(feedback.reply.weights, feedback.is_up)
        if verdict != "open":
            self._decided(self.canary)
        return verdict
