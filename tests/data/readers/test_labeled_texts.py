"""Every file format gives the same labeled texts; errors name line and column."""

import gzip
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from chatwright.data.readers.data_source import ReadOptions
from chatwright.data.readers.labeled_texts import (
    label_names,
    read_labeled,
    split_labeled,
    without_repeats,
)
from chatwright.data.rows import DataError, LabeledText, Location, UnsupportedFile

ROWS = [("a fine film", "good"), ('he said "no", twice', "bad"), ("and\tthat is all", "good")]
RECORDS = [{"label": label, "text": text, "more": 1} for text, label in ROWS]
FILES = {
    "a.jsonl": "".join(json.dumps(record) + "\n" for record in RECORDS),
    "a.json": json.dumps(RECORDS),
    "a.csv": 'label,text\ngood,a fine film\nbad,"he said ""no"", twice"\ngood,"and\tthat is all"\n',
}
LOCATION = Location("x")


@pytest.mark.parametrize("name", FILES)
def test_every_file_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    compressed = tmp_path / f"{name}.gz"
    path.write_text(FILES[name])
    compressed.write_bytes(gzip.compress(FILES[name].encode()))
    assert [(row.text, row.label) for row in read_labeled(path)] == ROWS
    both = read_labeled((path, compressed))
    assert [(row.text, row.label) for row in both] == ROWS * 2


def test_parquet_files_and_folders_are_read(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(RECORDS), tmp_path / "a.parquet")
    (tmp_path / "b.csv").write_text(FILES["a.csv"])
    assert [(row.text, row.label) for row in read_labeled(tmp_path)] == ROWS * 2


def test_a_quote_in_tsv_is_an_ordinary_character(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('text\tlabel\nhe said "no, twice\t0\n"yes" it is\t1\n')
    rows = read_labeled(tmp_path / "a.tsv")
    assert [(row.text, row.label) for row in rows] == [
        ('he said "no, twice', "0"),
        ('"yes" it is', "1"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "line", "field"),
    [
        ("a.jsonl", '{"text": "x"}\n', 1, "columns"),
        ("a.jsonl", '{"text": "x", "label": "y"}\n{"text": "x", "label": 0.5}\n', 2, "label"),
        ("a.jsonl", '{"text": "x", "label": true}\n', 1, "label"),
        ("a.jsonl", '{"text": "x", "label": null}\n', 1, "label"),
        ("a.jsonl", '{"text": " ", "label": "y"}\n', 1, "text"),
        ("a.jsonl", '{"text": 3, "label": "y"}\n', 1, "text"),
        ("a.csv", "text,label\nx,\n", 2, "label"),
        ("a.csv", "sentence,label\nx,y\n", 2, "columns"),
    ],
)
def test_error_names_the_line_and_the_column(
    tmp_path: Path, name: str, content: str, line: int, field: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError) as caught:
        read_labeled(tmp_path / name)
    assert (caught.value.location.number, caught.value.field) == (line, field)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", "[1]\n"),
        ("a.csv", 'text,label\n"x,y\n'),
        ("a.tsv", "text\tlabel\nx\n"),
        ("a.jsonl", "\n"),
    ],
)
def test_error_for_an_unreadable_file_names_the_file(
    tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError) as caught:
        read_labeled(tmp_path / name)
    assert caught.value.location.file == str(tmp_path / name)
    assert caught.value.remedy


def test_text_file_is_not_read_as_labeled_texts(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x\n")
    with pytest.raises(UnsupportedFile):
        read_labeled(tmp_path / "a.txt")


def test_skip_bad_rows_leaves_out_bad_rows_and_reports_them(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"text": "x", "label": "y"}\n{"text": "x"}\n{"text": "z", "label": "n"}\n'
    )
    skipped: list[DataError] = []
    rows = read_labeled(tmp_path / "a.jsonl", ReadOptions(skip_bad_rows=True), skipped)
    assert [row.label for row in rows] == ["y", "n"]
    assert [error.location.number for error in skipped] == [2]


def test_label_names_are_sorted_alphabetically_and_numbers_by_size() -> None:
    words = [LabeledText("x", label, LOCATION) for label in ("spam", "ham", "spam")]
    assert label_names(words) == ("ham", "spam")
    numbers = [LabeledText("x", label, LOCATION) for label in ("10", "9", "0")]
    assert label_names(numbers) == ("0", "9", "10")


def test_rows_that_all_have_the_same_label_are_an_error() -> None:
    with pytest.raises(DataError) as caught:
        label_names([LabeledText("x", "y", LOCATION)] * 2)
    assert caught.value.field == "label"


def test_equal_texts_are_on_the_same_side_of_the_split() -> None:
    rows = [LabeledText(f"text {i // 2}", "ab"[i % 2], LOCATION) for i in range(200)]
    train, validation = split_labeled(rows, 0.2)
    assert len(validation) == 40
    assert not {row.text for row in train} & {row.text for row in validation}


def test_validation_rows_that_repeat_training_rows_are_left_out() -> None:
    train = [LabeledText(text, "a", LOCATION) for text in ("One film", "two", "caf\u00e9")]
    repeats = [LabeledText(text, "b", LOCATION) for text in ("one  FILM", "two", "cafe\u0301")]
    others = [LabeledText(text, "a", LOCATION) for text in ("two films", "three")]
    assert without_repeats(train, [*repeats, *others]) == others
    assert without_repeats(train, repeats) == []
