"""Lines from a pipe, with any bytes in them."""

import io
import subprocess
import sys

import pytest

from chatwright.cli.terminal.pipe import UnreadableLine, line_reader


def test_each_line_is_one_message_with_or_without_a_newline() -> None:
    read_line = line_reader(
        io.TextIOWrapper(io.BytesIO(b"one\n\r\ntw\xc3\xb6\r\nthree\x00"), encoding="utf-8")
    )
    assert [read_line() for _ in range(5)] == ["one", "", "twö", "three\x00", None]


def test_windows_line_ends_and_a_byte_order_mark_are_removed() -> None:
    content = io.BytesIO(b"\xef\xbb\xbfone\r\n\r\ntwo")
    # newline="\n" keeps the \r, as sys.stdin does on Linux.
    read_line = line_reader(io.TextIOWrapper(content, encoding="utf-8", newline="\n"))
    assert [read_line() for _ in range(4)] == ["one", "", "two", None]


def test_a_line_with_invalid_utf_8_is_refused_and_the_next_line_is_read() -> None:
    read_line = line_reader(io.TextIOWrapper(io.BytesIO(b"one\nab\xff\nthree\n"), encoding="utf-8"))
    assert read_line() == "one"
    with pytest.raises(UnreadableLine) as caught:
        read_line()
    assert caught.value.value == 3
    assert [read_line(), read_line()] == ["three", None]


def test_reading_from_a_pipe_does_not_import_the_keyboard_library() -> None:
    code = (
        "import sys, chatwright.cli.app, chatwright.cli.terminal.terminal, "
        "chatwright.cli.terminal.pipe; assert 'prompt_toolkit' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
