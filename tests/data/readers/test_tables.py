"""Delimited tables are read alike for texts, labels, sentence pairs and conversations."""

import csv
import io
import json
from pathlib import Path

import pytest

from chatwright.data.readers.data_source import ReadOptions, parse_columns
from chatwright.data.readers.labeled_texts import read_labeled
from chatwright.data.readers.row_reader import read_rows
from chatwright.data.readers.sentence_pairs import read_pairs
from chatwright.data.readers.tables import scan_records
from chatwright.data.rows import ChatRow, DataError, MissingColumns
from chatwright.errors import InputError

# Kind of row -> (its two columns, a function that reads them). Text rows do not read the column n.
READERS = {
    "text": (("n", "text"), lambda path: [("", row.text) for row in read_rows(path)]),
    "label": (
        ("label", "text"),
        lambda path: [(row.label, row.text) for row in read_labeled(path)],
    ),
    "pair": (
        ("source", "target"),
        lambda path: [(pair.source, pair.target) for pair in read_pairs(path)],
    ),
    "chat": (
        ("prompt", "completion"),
        lambda path: [tuple(message.text for message in row.messages) for row in read_rows(path)],
    ),
}
CELLS = [
    ("one, two; three", "four | five, six; seven"),
    ('a "quoted" one', "two\nlines"),
    ("x", "y"),
]


def table(header: tuple[str, str], delimiter: str, ending: str = "\r\n") -> str:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, lineterminator=ending)
    writer.writerow(header)
    writer.writerows(CELLS)
    return file.getvalue()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("kind", READERS)
def test_every_delimiter_gives_the_same_rows(tmp_path: Path, kind: str, delimiter: str) -> None:
    header, read = READERS[kind]
    path = tmp_path / "a.csv"
    path.write_text(table(header, delimiter), newline="")
    rows = read(path)
    assert [second for _, second in rows] == [second for _, second in CELLS]
    first_cells = [""] * 3 if kind == "text" else [first for first, _ in CELLS]
    assert [first for first, _ in rows] == first_cells


@pytest.mark.parametrize("kind", READERS)
def test_the_separator_line_of_excel_is_read(tmp_path: Path, kind: str) -> None:
    header, read = READERS[kind]
    path = tmp_path / "a.csv"
    path.write_text("sep=;\r\n" + table(header, ";"), newline="")
    assert [second for _, second in read(path)] == [second for _, second in CELLS]


def test_line_numbers_in_errors_count_the_separator_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("sep=;\ntext;label\na;b;c\n")
    with pytest.raises(DataError) as caught:
        read_labeled(tmp_path / "a.csv")
    assert caught.value.location.number == 3


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize(
    ("name", "delimiter", "row"),
    [
        ("a.csv", ",", "Dull, slow and long,negative"),
        ("a.tsv", "\t", "Dull\tslow and long\tnegative"),
        ("a.csv", ";", "Dull; slow; negative"),
        ("a.csv", ",", "only one cell"),
    ],
)
def test_error_states_the_number_of_cells_in_the_row_and_of_columns_in_the_header(
    tmp_path: Path, kind: str, name: str, delimiter: str, row: str
) -> None:
    header, read = READERS[kind]
    (tmp_path / name).write_text(f"{delimiter.join(header)}\na{delimiter}b\n{row}\n")
    with pytest.raises(DataError) as caught:
        read(tmp_path / name)
    assert caught.value.location.number == 3
    assert f"{row.count(delimiter) + 1} cells" in caught.value.cause
    assert "2 columns" in caught.value.cause


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_cell_longer_than_the_default_limit_of_the_csv_module_is_read(
    tmp_path: Path, kind: str, name: str
) -> None:
    header, read = READERS[kind]
    long = "word " * 60_000
    delimiter = "," if name == "a.csv" else "\t"
    csv.field_size_limit(131_072)  # the default limit, in characters
    (tmp_path / name).write_text(f"{delimiter.join(header)}\nx{delimiter}{long}\n")
    assert [second.strip() for _, second in read(tmp_path / name)] == [long.strip()]


def test_empty_columns_at_the_end_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label,,\na,b,,\n,,,\nc,d\n")
    rows = read_labeled(tmp_path / "a.csv")
    assert [(row.text, row.label, row.location.number) for row in rows] == [
        ("a", "b", 2),
        ("c", "d", 4),
    ]


def test_columns_can_be_renamed_in_every_format(tmp_path: Path) -> None:
    columns = parse_columns("customer = prompt, agent=completion")
    options = ReadOptions(rename_columns=columns)
    record = {"customer": "Hi?", "agent": "Hello.", "prompt": "not this"}
    (tmp_path / "a.csv").write_text("customer;agent;prompt\nHi?;Hello.;not this\n")
    (tmp_path / "a.jsonl").write_text(json.dumps(record) + "\n")
    (tmp_path / "a.json").write_text(json.dumps([record]))
    (tmp_path / "a.tsv").write_text("customer\tagent\nHi?\tHello.\n")
    rows = list(read_rows(tmp_path, options))
    assert [[m.text for m in row.messages] for row in rows if isinstance(row, ChatRow)] == [
        ["Hi?", "Hello."]
    ] * 4


def test_columns_without_a_header_can_be_renamed_by_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("ham\tHi, there\nspam\tText now\n")
    (tmp_path / "a.csv").write_text("ham;Hi, there\nspam;Text now\n")
    options = ReadOptions(rename_columns={"1": "label", "2": "text"})
    for name in ("a.tsv", "a.csv"):
        rows = read_labeled(tmp_path / name, options)
        assert [(row.label, row.text) for row in rows] == [
            ("ham", "Hi, there"),
            ("spam", "Text now"),
        ]


def test_a_missing_column_is_reported_once_with_the_columns_found(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("review;stars\n" + "a;1\n" * 50)
    with pytest.raises(MissingColumns) as caught:
        read_labeled(tmp_path / "a.csv")
    assert caught.value.columns == ["'review'", "'stars'"]
    assert "--columns" in caught.value.advice


@pytest.mark.parametrize("text", ["customer", "customer=", "=prompt", "a=prompt,b"])
def test_column_renaming_that_is_not_old_equals_new_is_an_error(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_columns(text)
    assert caught.value.field == "columns"


def test_renaming_two_columns_to_the_same_name_is_an_error() -> None:
    with pytest.raises(InputError) as caught:
        ReadOptions(rename_columns={"a": "text", "b": "text"})
    assert caught.value.field == "rename_columns"


def test_a_header_with_a_newline_in_quotes_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,"a\nb",label\nx,y,z\n')
    [record] = scan_records(tmp_path / "a.csv", ReadOptions())
    assert not isinstance(record, DataError)
    assert record.values == {"text": "x", "a\nb": "y", "label": "z"}
    assert record.location.number == 3
