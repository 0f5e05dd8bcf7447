"""A directory is recognized as a run or a checkpoint by a file in it, not by its name."""

from pathlib import Path

from chatwright.checkpoint import directory, run_directory


def save_checkpoint(run: Path, step: int) -> Path:
    path = run_directory.checkpoint_path(run, step)
    with directory.atomic_directory(path) as temporary:
        (temporary / run_directory.STATE_FILE).write_text("{}")
    return path


def test_a_renamed_run_and_a_renamed_checkpoint_are_still_recognized(tmp_path: Path) -> None:
    checkpoint = save_checkpoint(tmp_path / "run", 7)
    (tmp_path / "run" / run_directory.RUN_FILE).write_text("{}")
    assert run_directory.is_run((tmp_path / "run").rename(tmp_path / "other"))
    moved = tmp_path / "other" / checkpoint.relative_to(tmp_path / "run")
    assert run_directory.is_checkpoint(moved.rename(tmp_path / "copy"))


def test_directories_with_the_usual_names_but_without_these_files_are_not_recognized(
    tmp_path: Path,
) -> None:
    (tmp_path / "run" / "model").mkdir(parents=True)
    (tmp_path / "checkpoints" / "step-00000001").mkdir(parents=True)
    assert not run_directory.is_run(tmp_path / "run")
    assert not run_directory.is_checkpoint(tmp_path / "checkpoints" / "step-00000001")


def test_checkpoints_are_listed_in_the_order_of_their_steps(tmp_path: Path) -> None:
    paths = [save_checkpoint(tmp_path, step) for step in (100, 9, 20)]
    listed = run_directory.checkpoints(tmp_path)
    assert sorted(listed) == sorted(paths)
    assert [run_directory.step_of(path) for path in listed] == [9, 20, 100]


def test_a_damaged_checkpoint_is_reported_and_the_previous_one_is_returned(tmp_path: Path) -> None:
    good, damaged = save_checkpoint(tmp_path, 1), save_checkpoint(tmp_path, 2)
    (damaged / run_directory.STATE_FILE).write_text("[]")
    reports: list[str] = []
    assert run_directory.newest_checkpoint(tmp_path, reports.append) == good
    assert len(reports) == 1
    assert damaged.name in reports[0]
