"""Trainings of users, of which only a few run at once; the others wait in order.

Each user has at most one training that runs or waits. The queue is in memory: after a restart of
the server, users start their trainings again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chatwright.server.errors import ApiError
from chatwright.server.jobs.command_job import CommandJob


@dataclass
class Training:
    """The training of one user."""

    user: str
    arguments: Sequence[str]
    job: CommandJob | None = None
    """None while it waits."""
    is_canceled: bool = False


class TrainingQueue:
    """Runs trainings. Every thread may use it."""

    def __init__(
        self, at_once: int, n_thread: int | None, ended: Callable[[str, CommandJob], None]
    ) -> None:
        """Start without trainings.

        Args:
            at_once: Number of trainings that run at the same time.
            n_thread: Threads of each; None: those of the machine.
            ended: Receives the user and the job of every training that has ended, before the next
                one begins.
        """
        self._at_once = at_once
        self._n_thread = n_thread
        self._ended = ended
        self._lock = threading.Lock()
        self._waiting: list[Training] = []
        self._running: list[Training] = []
        self._last: dict[str, CommandJob] = {}
        self._threads: list[threading.Thread] = []
        self._is_closing = False

    def put(self, user: str, arguments: Sequence[str]) -> None:
        """Queue a training; ApiError (409) if the user has one that runs or waits."""
        with self._lock:
            if self._is_closing:
                raise ApiError(503, "the server is shutting down", code="shutting_down")
            self._require_idle(user)
            self._last.pop(user, None)
            self._waiting.append(Training(user, arguments))
            self._start_next()

    def place(self, user: str) -> int | None:
        """Return how many trainings begin before the user's, which waits; None: it does not."""
        with self._lock:
            users = [training.user for training in self._waiting]
            return users.index(user) if user in users else None

    def job(self, user: str) -> CommandJob | None:
        """Return the user's training that runs, or else the last one that ended."""
        with self._lock:
            for training in self._running:
                if training.user == user:
                    return training.job
            return self._last.get(user)

    def stop(self, user: str) -> None:
        """Ask the user's training to end; one that waits never begins."""
        with self._lock:
            self._waiting = [training for training in self._waiting if training.user != user]
            for training in self._running:
                if training.user == user and training.job is not None:
                    training.is_canceled = True
                    training.job.stop()

    def require_idle(self, user: str) -> None:
        """Raise ApiError (409) if the user has a training that runs or waits."""
        with self._lock:
            self._require_idle(user)

    def close(self) -> None:
        """End every training, and wait until none runs."""
        with self._lock:
            self._is_closing = True
            self._waiting.clear()
            jobs = [training.job for training in self._running if training.job is not None]
            threads = list(self._threads)
        for job in jobs:
            job.close()
        for thread in threads:
            thread.join()

    def _require_idle(self, user: str) -> None:
        if any(training.user == user for training in (*self._running, *self._waiting)):
            message = "your model is being trained: wait until it is ready, or stop it"
            raise ApiError(409, message, code="job_running")

    def _start_next(self) -> None:
        """Start trainings until enough run. The caller holds the lock."""
        while self._waiting and len(self._running) < self._at_once and not self._is_closing:
            training = self._waiting.pop(0)
            training.job = CommandJob(training.arguments, self._n_thread)
            self._running.append(training)
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            thread = threading.Thread(target=self._follow, args=(training,), name="training")
            self._threads.append(thread)
            thread.start()

    def _follow(self, training: Training) -> None:
        """Wait for the end of a training, report it, and start the next one."""
        job = training.job
        assert job is not None, "the training was started"
        job.wait()
        try:
            self._ended(training.user, job)
        finally:
            with self._lock:
                self._running.remove(training)
                if not training.is_canceled:
                    self._last[training.user] = job
                self._start_next()
