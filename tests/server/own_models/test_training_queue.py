"""Trainings of users: so many at once, the others in order, one for each user."""

import threading
from collections.abc import Iterator

import pytest

from chatwright.server.errors import ApiError
from chatwright.server.jobs.command_job import CommandJob
from chatwright.server.own_models.training_queue import TrainingQueue

PATIENCE = 120


class GatedQueue:
    """A queue of two, whose trainings end only when the gate is opened."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.at_gate = threading.Semaphore(0)
        self.ended: list[str] = []
        self.queue = TrainingQueue(2, 1, self._end)

    def _end(self, user: str, job: CommandJob) -> None:
        self.at_gate.release()
        assert self.gate.wait(PATIENCE)
        self.ended.append(user)

    def wait_at_gate(self, n: int) -> None:
        for _ in range(n):
            assert self.at_gate.acquire(timeout=PATIENCE)


@pytest.fixture
def gated() -> Iterator[GatedQueue]:
    found = GatedQueue()
    yield found
    found.gate.set()
    found.queue.close()


def test_two_run_at_once_and_the_others_wait_in_order(gated: GatedQueue) -> None:
    queue = gated.queue
    for user in "abcd":
        queue.put(user, ["version"])
    gated.wait_at_gate(2)
    assert [queue.place(user) for user in "abcd"] == [None, None, 0, 1]
    assert queue.job("c") is None
    assert not gated.at_gate.acquire(blocking=False), "a third one runs"
    gated.gate.set()
    gated.wait_at_gate(2)
    queue.close()
    assert sorted(gated.ended) == ["a", "b", "c", "d"]
    assert set(gated.ended[:2]) == {"a", "b"}


def test_a_user_has_one_training_at_a_time(gated: GatedQueue) -> None:
    gated.queue.put("a", ["version"])
    for _ in range(2):
        with pytest.raises(ApiError) as caught:
            gated.queue.put("a", ["version"])
        assert (caught.value.status, caught.value.code) == (409, "job_running")
        gated.queue.put("b" if _ == 0 else "c", ["version"])
    gated.wait_at_gate(2)
    with pytest.raises(ApiError):
        gated.queue.put("c", ["version"])  # it waits


def test_a_training_that_waits_and_is_stopped_never_begins(gated: GatedQueue) -> None:
    for user in "abcd":
        gated.queue.put(user, ["version"])
    gated.queue.stop("c")
    assert gated.queue.place("c") is None
    assert gated.queue.place("d") == 0
    gated.gate.set()
    gated.wait_at_gate(3)
    gated.queue.close()
    assert sorted(gated.ended) == ["a", "b", "d"]
    with pytest.raises(ApiError) as caught:
        gated.queue.put("e", ["version"])
    assert caught.value.status == 503
