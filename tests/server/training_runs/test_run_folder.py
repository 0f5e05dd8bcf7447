"""Runs read from their files: state, time left, curves, samples, and what is left out."""

import json
from pathlib import Path

from chatwright.server.training_runs.run_folder import MAX_POINTS, RunRead, find_runs
from tests.server.training_runs.run_files import mark_as_running, write_run


def test_every_state_is_recognized(tmp_path: Path) -> None:
    write_run(tmp_path / "a/pretrain", 40)
    mark_as_running(write_run(tmp_path / "a/sft", 40))
    write_run(tmp_path / "b", 100, is_finished=True)
    found = {RunRead(tmp_path, path).id: RunRead(tmp_path, path) for path in find_runs(tmp_path)}
    states = {id: read.state for id, read in found.items()}
    assert states == {"a/pretrain": "stopped", "a/sft": "running", "b": "finished"}
    running = found["a/sft"].summary()
    # 40 steps took 80 seconds, and 60 are left.
    assert (running["step"], running["steps"], running["seconds_left"]) == (40, 100, 120.0)
    assert found["a/pretrain"].summary()["seconds_left"] is None
    assert found["b"].detail()["checks"]["weight_change"] == 0.2


def test_a_holder_that_was_killed_leaves_no_running_run(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", 5)
    (run / ".lock-holder").write_text("4194305")  # larger than any process id
    assert RunRead(tmp_path, run).state == "stopped"


def test_the_curves_hold_every_logged_number(tmp_path: Path) -> None:
    detail = RunRead(tmp_path, write_run(tmp_path / "a", 20)).detail()
    assert detail["curves"]["loss"] == [[step, 5.0 - step / 100] for step in range(1, 21)]
    assert detail["curves"]["validation_loss"] == [[0, 4.0], [10, 3.9], [20, 3.8]]
    assert set(detail["curves"]) == {"loss", "validation_loss"}
    assert [entry["step"] for entry in detail["samples"]] == [0, 10, 20]
    assert detail["samples"][1]["samples"] == [["Hello!", "reply at 10"]]
    assert detail["data"]["train"]["documents"] == 7


def test_a_long_curve_is_thinned_and_keeps_its_last_point(tmp_path: Path) -> None:
    n = 2 * MAX_POINTS + 1
    detail = RunRead(tmp_path, write_run(tmp_path / "a", n, planned=n)).detail()
    curve = detail["curves"]["loss"]
    assert len(curve) <= MAX_POINTS
    assert curve[-1] == [n, 5.0 - n / 100]


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", 20)
    with (run / "metrics.jsonl").open("a") as log:
        log.write('{"step": 21, "lo')
    assert RunRead(tmp_path, run).summary()["step"] == 20


def test_checkpoints_and_runs_without_a_log_are_not_listed(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", 3)
    write_run(run / "checkpoints/step-00000001", 1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/run.json").write_text(json.dumps({}))
    assert find_runs(tmp_path) == [run]
