"""Lines from a pipe, whatever bytes are in them."""

import io
import subprocess
import sys

import pytest

from chatwright.cli.terminal.pipe import UnreadableLine, line_reader


def test_one_line_is_one_message_with_or_without_its_end() -> None:
    read_line = line_reader(
        io.TextIOWrapper(io.BytesIO(b"one\n\r\ntw\xc3\xb6\r\nthree\x00"), encoding="utf-8")
    )
    assert [read_line() for _ in range(5)] == ["one", "", "twö", "three\x00", None]


def test_a_line_may_end_as_windows_ends_it_where_the_system_does_not_know() -> None:
    read_line = line_reader(
        io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbfone\r\n\r\ntwo"), encoding="utf-8", newline="\n")
    )  # as sys.stdin is on Linux
    assert [read_line() for _ in range(4)] == ["one", "", "two", None]


def test_a_line_that_is_no_text_is_refused_alone() -> None:
    read_line = line_reader(io.TextIOWrapper(io.BytesIO(b"one\nab\xff\nthree\n"), encoding="utf-8"))
    assert read_line() == "one"
    with pytest.raises(
        UnreadableLine, match=r"not valid UTF-8 \(at character 3\), so it was not sent"
    ):
        read_line()
    assert [read_line(), read_line()] == ["three", None]


def test_a_pipe_needs_no_keyboard_library() -> None:
    code = "import sys, chatwright.cli.app, chatwright.cli.terminal.terminal, chatwright.cli.terminal.pipe; assert 'prompt_toolkit' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
