"""Texts from a pipe are read line by line."""

import io

import pytest

from chatwright.cli.standard_input import piped_lines
from chatwright.errors import InputError


def test_lines_arrive_as_they_were_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["one", "", "a\x0cform feed and a\u2028separator", "naïve ☕"]
    pipe = io.TextIOWrapper(io.BytesIO("\n".join(lines).encode()), encoding="utf-8", newline="\n")
    monkeypatch.setattr("sys.stdin", pipe)
    assert list(piped_lines("text")) == lines


def test_a_line_that_is_not_utf_8_is_refused_and_earlier_lines_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipe = io.TextIOWrapper(io.BytesIO(b"one\ncaf\xe9\n"), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", pipe)
    texts = piped_lines("text")
    assert next(texts) == "one"
    with pytest.raises(ValueError, match="UTF-8"):
        next(texts)


def test_a_missing_text_is_an_error_where_no_pipe_is_connected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    with pytest.raises(InputError) as caught:
        piped_lines("sentence")
    assert "sentence" in caught.value.problem
