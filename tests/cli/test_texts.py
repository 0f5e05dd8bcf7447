"""Where the texts of classify and translate come from: each way gives the same lines, and what gives none says so."""

import gzip
import io
from pathlib import Path

import pytest

from chatwright.cli.texts import file_called, from_file, from_pipe, require_place, require_some

LINES = ["one", "", "a\x0cform feed and a\u2028separator", "naïve ☕"]


def test_a_file_a_packed_one_and_a_table_give_the_same_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(LINES).encode())
    (tmp_path / "b.gz").write_bytes(gzip.compress("\n".join(LINES).encode() + b"\n"))
    (tmp_path / "c.tsv").write_text(
        "id\ttext\n" + "\n".join(f"{i}\t{line}" for i, line in enumerate(LINES)), encoding="utf-8"
    )
    for name in ("a.txt", "b.gz", "c.tsv"):
        assert list(from_file(tmp_path / name)) == LINES, name


def test_a_table_without_texts_and_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "c.tsv").write_text("id\tsentence\n1\tone\n")
    with pytest.raises(ValueError, match=r"c.tsv, line 1: the first line names no column text"):
        list(from_file(tmp_path / "c.tsv"))
    with pytest.raises(ValueError, match="is a folder"):
        list(from_file(tmp_path))


def test_a_pipe_is_read_as_it_comes_and_a_bad_line_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "sys.stdin",
        io.TextIOWrapper(io.BytesIO("\n".join(LINES).encode()), encoding="utf-8", newline="\n"),
    )
    assert list(from_pipe()) == LINES
    monkeypatch.setattr(
        "sys.stdin", io.TextIOWrapper(io.BytesIO(b"one\ncaf\xe9\n"), encoding="utf-8")
    )
    texts = from_pipe()
    assert next(texts) == "one"
    with pytest.raises(ValueError, match="not valid UTF-8"):
        next(texts)


def test_what_names_a_file_is_one_and_what_only_looks_like_it_is_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "good").mkdir()
    assert file_called("a.txt") == Path("a.txt")
    assert file_called(str(tmp_path)) == tmp_path
    for text in ("good", "Good film.", "long " * 1000, "with a \0 byte", "see a.b.txt"):
        assert file_called(text) is None
    for text in ("b.txt", "no/such.jsonl.xz", "R.TSV"):
        with pytest.raises(ValueError, match="no such file"):
            file_called(text)


def test_blank_texts_keep_their_places_and_nothing_else_is_an_error() -> None:
    assert list(require_some(iter(["", "a", " ", "b"]))) == ["", "a", " ", "b"]
    for nothing in ([], [""], [" ", "\t"]):
        with pytest.raises(ValueError, match="it is empty"):
            list(require_some(iter(nothing)))
    endless = iter(lambda: "a", None)
    assert next(require_some(endless)) == "a", "what comes bit by bit is passed on at once"


def test_a_page_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    require_place(tmp_path / "page.html")
    for place, cause in (
        (tmp_path, "is a folder"),
        (tmp_path / "no" / "page.html", "in a folder that is not there"),
    ):
        with pytest.raises(ValueError, match=cause):
            require_place(place)
