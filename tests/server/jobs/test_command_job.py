"""Commands in their own process: output, failure, one at a time, and a stop that saves."""

from collections.abc import Iterator

import pytest

from chatwright import __version__
from chatwright.server.errors import ApiError
from chatwright.server.jobs.command_job import CommandJob
from chatwright.server.jobs.job_runner import JobRunner
from chatwright.server.jobs.plain_json import plain_json


@pytest.fixture
def runner() -> Iterator[JobRunner]:
    runner = JobRunner()
    yield runner
    runner.close()


def test_a_command_ends_with_its_output(runner: JobRunner) -> None:
    job = runner.start("one", ["version"])
    assert job.wait(60) == "finished"
    found = job.to_json()
    assert (found["lines"], found["error"], found["command"]) == (
        [__version__],
        "",
        "chatwright version",
    )
    assert runner.get("one") is job
    assert runner.get("two") is None


def test_a_failure_is_reported_with_its_message(runner: JobRunner) -> None:
    job = runner.start("one", ["feedback", "snapshot", "missing.jsonl", "out.jsonl"])
    assert job.wait(60) == "failed"
    assert "missing.jsonl" in job.to_json()["error"]


def test_one_command_runs_at_a_time(runner: JobRunner) -> None:
    first = runner.start("one", ["version"])
    with pytest.raises(ApiError) as caught:
        runner.start("two", ["version"])
    assert (caught.value.status, caught.value.code) == (409, "job_running")
    assert first.wait(60) == "finished"
    assert runner.start("two", ["version"]).wait(60) == "finished"


def test_a_stopped_command_is_not_a_failure() -> None:
    job = CommandJob(["version"])
    job.close()
    assert job.state in ("stopped", "finished")  # it may have ended just before


def test_progress_messages_and_the_result_are_told_apart() -> None:
    job = CommandJob(["version"])
    job.wait(60)
    step = {"stage": "dpo", "steps": 4, "seconds": 1.0, "seconds_left": 3.0, "evaluation": {}}
    for number in (1, 2):
        job._take(f'{{"stage": "dpo", "step": {number}, "loss": 0.{number}, "steps": 4}}')
    job._take('{"say": "comparing"}')
    job._take('{"version": "v2", "is_promoted": true}')
    found = job.to_json()
    assert found["curve"] == [[1, 0.1], [2, 0.2]]
    assert (found["progress"]["step"], found["progress"]["steps"]) == (2, step["steps"])
    assert found["lines"][-1] == "comparing"
    assert job.result == {"version": "v2", "is_promoted": True}
    job._take('{"stage": "reward", "step": 1, "loss": 0.7, "steps": 9}')
    assert job.to_json()["curve"] == [[1, 0.7]]  # another stage begins a new curve


def test_numbers_that_json_lacks_become_null() -> None:
    value = {"a": float("nan"), "b": [1.5, float("inf"), (2,)], "c": "x"}
    assert plain_json(value) == {"a": None, "b": [1.5, None, [2]], "c": "x"}
