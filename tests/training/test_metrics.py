"""The log of a run has every record once, in step order, after any kill."""

from pathlib import Path

from chatwright.training.metrics import Metrics, read


def test_resumed_log_drops_the_records_after_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = Metrics(path)
    for step in (1, 2, 3):
        log.write(step, loss=float(step))
    log.close()
    resumed = Metrics(path, resume_after=2)
    resumed.write(3, loss=30.0)
    resumed.close()
    assert [(r["step"], r["loss"]) for r in read(path)] == [(1, 1.0), (2, 2.0), (3, 30.0)]


def test_new_log_drops_all_old_records(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 2.0}\n')
    Metrics(path).close()
    assert read(path) == []


def test_repeated_evaluation_of_a_step_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = Metrics(path)
    log.write(4, loss=1.0)
    log.write(4, validation_loss=2.0)
    log.write(4, validation_loss=2.5)
    log.close()
    assert read(path) == [{"step": 4, "loss": 1.0}, {"step": 4, "validation_loss": 2.0}]


def test_line_cut_short_by_a_kill_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    assert read(path) == [{"step": 1, "loss": 2.0}]


def test_log_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    assert read(tmp_path / "metrics.jsonl") == []
