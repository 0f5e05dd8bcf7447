"""What the live file of feedback holds, how far raters agree, and what it would train."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chatwright.data.feedback_log import read_log
from chatwright.data.preferences import Feedback, Ranking
from chatwright.errors import InputError
from chatwright.evaluation.feedback_quality.quality import assess
from chatwright.pipeline.improve.methods import choose, count


class FeedbackSummary:
    """Reads the live file again only when it has changed. Every thread may use it."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._read: tuple[tuple[int, int], tuple[Feedback, ...], dict[str, Any]] | None = None

    def feedback(self) -> tuple[Feedback, ...]:
        """Return the feedback in the order in which it was given."""
        return self._current()[0]

    def to_json(self, known: set[str]) -> dict[str, Any]:
        """Return counts, raters, agreement, and the method that `auto` would choose.

        Args:
            known: The weights of the versions; feedback on other models is counted apart.
        """
        feedback, figures = self._current()
        n_other = sum(not _weights_of(item) <= known | {""} for item in feedback)
        return figures | {"n_other_models": n_other if known else 0}

    def _current(self) -> tuple[tuple[Feedback, ...], dict[str, Any]]:
        with self._lock:
            try:
                status = self._log.stat()
            except OSError:  # no feedback was given yet
                return (), _figures(())
            state = (status.st_mtime_ns, status.st_size)
            if self._read is None or self._read[0] != state:
                feedback = read_log(self._log).feedback
                self._read = (state, feedback, _figures(feedback))
            return self._read[1], self._read[2]


def _figures(feedback: Sequence[Feedback]) -> dict[str, Any]:
    good = assess(feedback)
    counts = count(good.kept)
    method, obstacle = "", ""
    try:
        method = choose("auto", counts).name
    except InputError as error:
        obstacle = str(error)
    return {
        "report": good.report.to_json(),
        "pairs": counts.n_pair,
        "thumbs_up": counts.n_up,
        "thumbs_down": counts.n_down,
        "method": method,
        "obstacle": obstacle,
    }


def _weights_of(item: Feedback) -> set[str]:
    replies = item.replies if isinstance(item, Ranking) else (item.reply,)
    return {reply.weights for reply in replies}
