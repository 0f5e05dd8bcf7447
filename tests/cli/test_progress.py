"""A run in a terminal: warnings are printed at once, and the last one again at the end."""

import io
import json

import pytest
from rich.console import Console
from rich.progress import Progress as Bar

from chatwright.cli import progress
from chatwright.cli.progress import terminal_watcher
from chatwright.training.watcher import Progress

FIRST = "loss [3] above its band"
SECOND = "loss [4] above its band"


def test_the_last_warning_is_repeated_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    received: list[str] = []
    with terminal_watcher(also_warn=received.append) as watcher:
        watcher.warn(FIRST)
        watcher.warn(SECOND)
        watcher.say("saved")
    end = " ".join(capsys.readouterr().err.rpartition("saved\n")[2].split())
    assert end.startswith("2 warnings")
    assert end.endswith(SECOND)
    assert received == [FIRST, SECOND]


def test_the_time_left_is_that_of_the_stage_or_of_the_whole_build(
    capsys: pytest.CaptureFixture[str],
) -> None:
    step = Progress("pretrain", 10, 20, 1.5, 100, 5.0, 5.0)
    with terminal_watcher() as watcher:
        watcher.progress(step)
    assert "pretrain step 10/20 loss 1.500 5 s left\n" in capsys.readouterr().err
    with terminal_watcher(seconds_left=lambda: 125.0) as watcher:
        watcher.progress(step)
    assert "loss 1.500 2 min 05 s left in all" in capsys.readouterr().err


def test_without_warnings_nothing_is_added(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal_watcher() as watcher:
        watcher.say("saved")
    assert capsys.readouterr().err.strip() == "saved"


def test_scripts_receive_one_json_object_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal_watcher(as_json=True) as watcher:
        watcher.warn("above")
        watcher.progress(Progress("sft", 1, 2, float("nan"), 3, 4.0, float("inf")))
    warning, progress = map(json.loads, capsys.readouterr().out.splitlines())
    assert warning == {"warning": "above"}
    assert "loss" not in progress, "JSON has no NaN"
    assert progress["step"] == 1


def test_every_step_of_a_slow_model_is_printed_and_few_of_a_fast_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def printed_steps(seconds: float) -> int:
        with terminal_watcher() as watcher:
            for step in range(1, 101):
                left = seconds * (100 - step)
                watcher.progress(Progress("sft", step, 100, 1.5, 100, seconds * step, left))
        return capsys.readouterr().err.count("sft step")

    assert printed_steps(0.1) == 20
    assert printed_steps(3.0) == 100


def test_a_terminal_shows_something_before_the_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 39: nothing was shown for minutes. `activity` replaces the words beside the bar."""
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr(progress, "Console", lambda **_: console)
    bars: list[Bar] = []
    make_bar = progress._bar
    monkeypatch.setattr(progress, "_bar", lambda console: bars.append(make_bar(console)) or bars[0])
    with terminal_watcher() as watcher:
        bars[0].refresh()  # a thread does so four times a second
        assert "preparing" in console.file.getvalue()
        watcher.activity("measuring a training step")
        bars[0].refresh()
    assert "measuring a training step" in console.file.getvalue()
