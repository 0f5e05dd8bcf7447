"""The commands that the page started: one at a time, the last one of each name is remembered."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from chatwright.server.errors import ApiError
from chatwright.server.jobs.command_job import CommandJob


class JobRunner:
    """Starts commands. Every thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[str, CommandJob] = {}

    def start(self, name: str, arguments: Sequence[str]) -> CommandJob:
        """Start a command; ApiError (409) while another one runs.

        Two trainings at once on one machine would slow each other and the replies.

        Args:
            name: The name under which `get` returns the job.
            arguments: The words after `chatwright`.
        """
        with self._lock:
            for other, job in self._jobs.items():
                if job.state == "running":
                    message = f"{other} is running: wait until it ends, or stop it"
                    raise ApiError(409, message, code="job_running")
            self._jobs[name] = job = CommandJob(arguments)
        return job

    def get(self, name: str) -> CommandJob | None:
        """Return the last job of this name, or None."""
        with self._lock:
            return self._jobs.get(name)

    def close(self) -> None:
        """Stop every command; it saves its state first."""
        with self._lock:
            jobs = list(self._jobs.values())
        for job in jobs:
            job.close()
