"""Improve the served model from the feedback collected, and choose the version that is served.

`improve` copies the live file of feedback into a snapshot in DIR/feedback, and starts
`chatwright improve DIR --feedback SNAPSHOT` in a process of its own. The same feedback gives the
same snapshot, so an interrupted improvement continues.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from chatwright.checkpoint import registry, served_version
from chatwright.checkpoint.registry import Version
from chatwright.data.preferences import Feedback
from chatwright.data.readers.feedback_json import feedback_to_json
from chatwright.data.snapshot import Snapshot, read_snapshot, write_snapshot
from chatwright.pipeline.store_feedback import record_snapshot
from chatwright.server.errors import ApiError
from chatwright.server.jobs.job_runner import JobRunner
from chatwright.server.teach.feedback_summary import FeedbackSummary
from chatwright.server.teach.versions import last_decision
from chatwright.store.store import Store

JOB = "improve"
SNAPSHOTS = "feedback"


class ImprovementLoop:
    """The loop of one model. Every thread may use it."""

    def __init__(
        self,
        directory: Path,
        log: Path | None,
        jobs: JobRunner,
        settings: Sequence[str] = (),
        store: Store | None = None,
    ) -> None:
        """Prepare the loop.

        Args:
            directory: The directory of the versions, which the server follows.
            log: The live file of feedback; None if the server takes none.
            jobs: Runs the improvement.
            settings: Settings of every improvement, as KEY=VALUE. Only whoever starts the server
                sets them, because some name files.
            store: The store whose ratings count too; None if the server has none.
        """
        self.directory = directory
        has_feedback = log is not None or store is not None
        self._summary = FeedbackSummary(log, store) if has_feedback else None
        self._store = store
        self._jobs = jobs
        self._settings = tuple(settings)
        self.start_canary: Callable[[str, float], None] | None = None
        """Lets a version answer a share of the requests; None if the server cannot open models."""

    def summary(self) -> dict[str, Any]:
        """Return what the feedback holds; ApiError (404) if the server takes none."""
        known: set[str] = set()
        if registry.holds_registry(self.directory):
            known = {version.weights for version in registry.read(self.directory).versions}
        return self._feedback().to_json(known)

    def improve(self, method: str, any_weights: bool) -> dict[str, Any]:
        """Start an improvement, or continue an interrupted one; ApiError (404, 409) if it cannot.

        Args:
            method: auto, or a name of `METHODS`.
            any_weights: Whether feedback on replies of other models is used, too.
        """
        feedback = self._feedback().feedback()
        if not feedback:
            message = "no feedback was collected yet: rate some replies first"
            raise ApiError(409, message, code="no_feedback")
        snapshot = self._snapshot(feedback)
        options = ["--any-weights"] if any_weights else []
        self._jobs.start(
            JOB,
            [
                *("improve", str(self.directory), "--feedback", str(snapshot.path)),
                *("--method", method, "--json", *options, *self._settings),
            ],
        )
        return self.state()

    def state(self) -> dict[str, Any]:
        """Return the state of the last improvement that was started here, and its decision."""
        job = self._jobs.get(JOB)
        if job is None:
            return {"job": None, "decision": None}
        result = job.result
        decision = None
        if result:
            event = last_decision(self.directory, str(result["version"])) or {}
            decision = {name: result[name] for name in ("version", "is_promoted", "reason")}
            decision["metrics"] = event.get("metrics", {})
        return {"job": job.to_json(), "decision": decision}

    def stop(self) -> dict[str, Any]:
        """Ask the improvement to save and stop; ApiError (409) if none runs."""
        job = self._jobs.get(JOB)
        if job is None or job.state != "running":
            raise ApiError(409, "no improvement is running", code="not_running")
        job.stop()
        return self.state()

    def report(self) -> bytes:
        """Return the report of the last improvement's comparison; ApiError (404) without one."""
        job = self._jobs.get(JOB)
        file = None if job is None else job.result.get("report")
        if file is None or not Path(file).is_file():
            message = "there is no report: it is written when an improvement ends"
            raise ApiError(404, message, code="no_report")
        return Path(file).read_bytes()

    def promote(self, name: str, reason: str, by: str) -> Version:
        """Serve a version, also one that was refused or never compared; the reason is recorded.

        Raises:
            InputError: There is no such version, it is served already, or its files have changed.
        """
        read = registry.read(self.directory)
        state = read.state(read.version(name))
        is_forced = state in ("refused", "not decided")  # the page always asks for a reason
        return served_version.promote(self.directory, name, reason, force=is_forced, by=by)

    def rollback(self, name: str, reason: str, by: str) -> Version:
        """Serve an earlier version again; InputError if it was not served before."""
        return served_version.rollback(self.directory, name, reason, by)

    def _feedback(self) -> FeedbackSummary:
        if self._summary is None:
            message = "this server keeps no feedback: start it with --feedback FILE"
            raise ApiError(404, message, code="feedback_not_kept")
        return self._summary

    def _snapshot(self, feedback: Sequence[Feedback]) -> Snapshot:
        """Return the newest snapshot if it holds this feedback; otherwise write the next one."""
        folder = self.directory / SNAPSHOTS
        folder.mkdir(parents=True, exist_ok=True)
        earlier = sorted(folder.glob("[0-9][0-9][0-9][0-9].jsonl"))
        newest = read_snapshot(earlier[-1]) if earlier else None
        if newest is not None and _rows(newest.feedback) == _rows(feedback):
            return newest
        written = write_snapshot(folder / f"{len(earlier) + 1:04d}.jsonl", feedback, newest)
        if self._store is not None:  # deletion of a user names the snapshots with the user's texts
            record_snapshot(self._store, written)
        return written


def _rows(feedback: Sequence[Feedback]) -> list[Any]:
    return [feedback_to_json(item) for item in feedback]
