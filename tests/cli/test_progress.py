"""What a run says in a terminal: warnings are said when they come, to the page too, and the last again at the end."""

import json

import pytest

from chatwright.cli.progress import terminal
from chatwright.training.watcher import Progress


def test_a_warning_is_said_again_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    heard: list[str] = []
    with terminal(also_warn=heard.append) as watcher:
        watcher.warn("loss [3] above its band")
        watcher.warn("loss [4] above its band")
        watcher.say("saved")
    *_, last = capsys.readouterr().err.strip().rpartition("saved\n")
    assert (
        " ".join(last.split())
        == "2 of the run's figures were not as expected; the last: loss [4] above its band"
    )
    assert heard == ["loss [3] above its band", "loss [4] above its band"]


def test_the_time_left_is_the_stages_or_that_of_the_whole(
    capsys: pytest.CaptureFixture[str],
) -> None:
    step = Progress("pretrain", 10, 20, 1.5, 100, 5.0, 5.0)
    with terminal() as watcher:
        watcher.progress(step)
    assert "pretrain step 10/20 loss 1.500 5 s left" in capsys.readouterr().err
    with terminal(left_in_all=lambda: 125.0) as watcher:
        watcher.progress(step)
    assert "loss 1.500 2 min 05 s left in all" in capsys.readouterr().err


def test_without_warnings_nothing_is_added_and_scripts_get_objects(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with terminal() as watcher:
        watcher.say("saved")
    assert capsys.readouterr().err.strip() == "saved"
    with terminal(as_json=True) as watcher:
        watcher.warn("above")
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"warning": "above"}
    ]
