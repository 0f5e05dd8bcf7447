"""What a run says in a terminal: warnings are said when they come, to the page too, and the last again at the end."""

import json

import pytest

from chatwright.cli.watching import terminal


def test_a_warning_is_said_again_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    heard: list[str] = []
    with terminal(also_warn=heard.append) as watcher:
        watcher.warn("loss [3] above its band")
        watcher.warn("loss [4] above its band")
        watcher.say("saved")
    *_, last = capsys.readouterr().err.strip().rpartition("saved\n")
    assert " ".join(last.split()) == "2 of the run's figures were not as expected; the last: loss [4] above its band"
    assert heard == ["loss [3] above its band", "loss [4] above its band"]


def test_without_warnings_nothing_is_added_and_scripts_get_objects(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal() as watcher:
        watcher.say("saved")
    assert capsys.readouterr().err.strip() == "saved"
    with terminal(as_json=True) as watcher:
        watcher.warn("above")
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [{"warning": "above"}]
