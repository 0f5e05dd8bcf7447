"""Something is on the screen before PyTorch is loaded, and nothing is left of it at the end."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from chatwright.cli.status_line import NoStatus, StatusLine

# Runs a command in a terminal, and stops it at the first text on the screen.
FIRST_TEXT = """
import os, sys
class Screen:
    encoding = "utf-8"
    errors = "strict"
    def isatty(self):
        return True
    def write(self, text):
        heavy = [name for name in ("torch", "numpy", "fastapi") if name in sys.modules]
        os.write(1, repr((text, heavy)).encode())
        os._exit(0)
    def flush(self):
        pass
sys.stderr = Screen()
sys.argv = ["chatwright", *{arguments!r}]
from chatwright.cli.app import main
main()
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def screen(written: str) -> str:
    """Return what a terminal shows of one line after carriage returns."""
    shown: list[str] = []
    for part in written.split("\r"):
        shown = [*part, *shown[len(part) :]]
    return "".join(shown)


@pytest.mark.parametrize("verb", ["chat", "serve", "up", "generate"])
def test_the_first_text_appears_before_heavy_libraries_are_loaded(
    verb: str, tmp_path: Path
) -> None:
    program = FIRST_TEXT.format(arguments=[verb, str(tmp_path)])
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "PyTorch" in run.stdout
    assert run.stdout.endswith("[])"), run.stdout


def test_a_terminal_shows_the_newest_state_and_then_nothing() -> None:
    stream = Terminal()
    with StatusLine("Opening m", stream) as status:
        status.show("reading a long list of weights")
        status.show("packing")
        assert screen(stream.getvalue()).rstrip() == "Opening m: packing ..."
    assert screen(stream.getvalue()).strip() == ""


def test_an_error_erases_the_line_too() -> None:
    stream = Terminal()

    def fail() -> None:
        with StatusLine("Opening m", stream) as status:
            status.show("packing")
            raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        fail()
    assert "packing" in stream.getvalue()
    assert screen(stream.getvalue()).strip() == ""


def test_a_note_stays() -> None:
    stream = Terminal()
    with StatusLine("Opening m", stream) as status:
        status.show("reading the weights")
        status.note("A note.")
        status.show("packing")
    lines = [screen(line).strip() for line in stream.getvalue().split("\n")]
    assert lines == ["A note.", ""]


@pytest.mark.parametrize(("keeps_lines", "n_line"), [(False, 1), (True, 3)])
def test_a_file_gets_notes_and_a_line_per_state_only_if_asked_for(
    keeps_lines: bool, n_line: int
) -> None:
    stream = io.StringIO()
    with StatusLine("Opening m", stream, keeps_lines) as status:
        status.show("reading")
        status.show("packing")
        status.note("A note.")
    assert len(stream.getvalue().splitlines()) == n_line
    assert "\r" not in stream.getvalue()


def test_a_silent_status_writes_nothing() -> None:
    stream = Terminal()
    with NoStatus("Opening m", stream) as status:
        status.show("reading")
        status.note("A note.")
    assert stream.getvalue() == ""
