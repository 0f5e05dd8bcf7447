"""Texts for classify and translate are read from all kinds of files; errors name the file."""

import gzip
from pathlib import Path

import pytest

from chatwright.data.readers.data_source import ReadOptions
from chatwright.data.rows import DataError
from chatwright.errors import InputError
from chatwright.pipeline.text_input import (
    few_texts,
    file_named_by,
    read_texts,
    require_text,
    require_writable,
)

LINES = ["one", "", "a\x0cform feed and a\u2028separator", "naïve ☕"]


def test_a_text_file_a_compressed_one_and_a_table_give_the_same_texts(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(LINES).encode())
    (tmp_path / "b.gz").write_bytes(gzip.compress("\n".join(LINES).encode() + b"\n"))
    rows = "\n".join(f"{i}\t{line}" for i, line in enumerate(LINES))
    (tmp_path / "c.tsv").write_text(f"id\ttext\n{rows}", encoding="utf-8")
    semicolons = "\n".join(f"{i};{line}" for i, line in enumerate(LINES))
    (tmp_path / "d.csv").write_text(f"id;text\n{semicolons}", encoding="utf-8")
    for name in ("a.txt", "b.gz", "c.tsv", "d.csv"):
        assert list(read_texts(tmp_path / name)) == LINES, name


def test_encoding_and_column_names_can_be_given(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("review\ncaf\u00e9\n".encode("cp1252"))
    options = ReadOptions(encoding="cp1252", rename_columns={"review": "text"})
    assert list(read_texts(tmp_path / "a.csv", options)) == ["caf\u00e9"]


def test_a_table_without_the_column_text_is_rejected_with_the_number_of_its_first_line(
    tmp_path: Path,
) -> None:
    (tmp_path / "c.tsv").write_text("id\tsentence\n1\tone\n")
    with pytest.raises(DataError) as caught:
        list(read_texts(tmp_path / "c.tsv"))
    assert caught.value.location.number == 1


def test_a_row_that_is_a_conversation_is_rejected_with_its_line_number(tmp_path: Path) -> None:
    rows = '{"text": "a dog"}\n{"prompt": "a dog", "completion": "a log"}\n'
    (tmp_path / "a.jsonl").write_text(rows)
    with pytest.raises(DataError) as caught:
        list(read_texts(tmp_path / "a.jsonl"))
    assert caught.value.location.number == 2


def test_a_folder_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        list(read_texts(tmp_path))
    assert caught.value.field == str(tmp_path)


def test_an_argument_names_a_file_only_if_the_file_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "good").mkdir()
    assert file_named_by("a.txt") == Path("a.txt")
    assert file_named_by(str(tmp_path)) == tmp_path
    for text in ("good", "Good film.", "long " * 1000, "with a \0 byte", "see a.b.txt"):
        assert file_named_by(text) is None


@pytest.mark.parametrize("text", ["b.txt", "no/such.jsonl.xz", "R.TSV"])
def test_an_argument_that_looks_like_a_missing_file_is_rejected(text: str) -> None:
    with pytest.raises(InputError) as caught:
        file_named_by(text)
    assert caught.value.field == text


def test_blank_texts_are_returned_too_and_the_input_may_be_endless() -> None:
    assert list(require_text(iter(["", "a", " ", "b"]))) == ["", "a", " ", "b"]
    endless = iter(lambda: "a", None)
    assert next(require_text(endless)) == "a"


@pytest.mark.parametrize("texts", [[], [""], [" ", "\t"]])
def test_input_without_any_text_is_rejected(texts: list[str]) -> None:
    with pytest.raises(InputError):
        require_text(iter(texts))


def test_more_texts_than_an_attention_page_shows_are_rejected() -> None:
    assert list(few_texts(iter("ab"), 2)) == ["a", "b"]
    with pytest.raises(InputError) as caught:
        few_texts(iter("abc"), 2)
    assert (caught.value.field, caught.value.value) == ("--attention", 3)


def test_an_output_path_that_cannot_be_written_is_rejected(tmp_path: Path) -> None:
    require_writable(tmp_path / "page.html")
    for path in (tmp_path, tmp_path / "no" / "page.html"):
        with pytest.raises(InputError) as caught:
            require_writable(path)
        assert caught.value.field == str(path)
