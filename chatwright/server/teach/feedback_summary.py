"""What the live file of feedback and the store hold, and what it would train."""

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
from chatwright.pipeline.store_feedback import to_feedback
from chatwright.store.store import Store


class FeedbackSummary:
    """Reads the live file and the store only when they have changed. Every thread may use it."""

    def __init__(self, log: Path | None, store: Store | None = None) -> None:
        self._log = log
        self._store = store
        self._lock = threading.Lock()
        self._read: tuple[object, tuple[Feedback, ...], dict[str, Any]] | None = None

    def feedback(self) -> tuple[Feedback, ...]:
        """Return the feedback of the live file, and then that of the store."""
        return self._current()[0]

    def to_json(self, known: set[str]) -> dict[str, Any]:
        """Return counts, raters, agreement, and the method that `auto` would choose.

        Args:
            known: The weights of the versions; feedback on other models is counted apart.
        """
        feedback, metrics = self._current()
        n_other = sum(not _weights_of(item) <= known | {""} for item in feedback)
        return metrics | {"n_other_models": n_other if known else 0}

    def _current(self) -> tuple[tuple[Feedback, ...], dict[str, Any]]:
        with self._lock:
            state = self._state()
            if self._read is None or self._read[0] != state:
                feedback = self._all()
                self._read = (state, feedback, _metrics(feedback))
            return self._read[1], self._read[2]

    def _state(self) -> object:
        stored = None if self._store is None else self._store.feedback.state()
        try:
            status = None if self._log is None else self._log.stat()
        except OSError:  # no feedback was given yet
            status = None
        return stored, status and (status.st_mtime_ns, status.st_size)

    def _all(self) -> tuple[Feedback, ...]:
        has_log = self._log is not None and self._log.is_file()
        logged = read_log(self._log).feedback if self._log is not None and has_log else ()
        if self._store is None:
            return logged
        rated = self._store.feedback.rated_conversations()
        return (*logged, *map(to_feedback, rated))


def _metrics(feedback: Sequence[Feedback]) -> dict[str, Any]:
    good = assess(feedback)
    counts = count(good.kept)
    method, obstacle = "", ""
    try:
        method = choose("auto", counts).name
    except InputError as error:
        obstacle = f"{error.problem} Rate replies in a conversation, or in the view Rate."
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
