"""Every format gives the same rows; a broken file is an error with file, cause and remedy."""

import csv
import gzip
import json
import lzma
import os
import subprocess
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from chatwright.conversation import Message
from chatwright.data.readers import documents, lines
from chatwright.data.readers.data_source import ReadOptions
from chatwright.data.readers.row_reader import read_rows, scan_rows
from chatwright.data.rows import ChatRow, DataError, SentencePair, TextRow, UnsupportedFile

QUESTION_ANSWER = (Message("user", "What is it?"), Message("assistant", "A cat.\nOr a dog."))
RECORDS = [
    {
        "messages": [
            {"role": "user", "content": "What is it?"},
            {"role": "assistant", "content": "A cat.\nOr a dog."},
        ]
    },
    {
        "messages": [
            {"role": "user", "content": "Ça va ?"},
            {"role": "assistant", "content": "Oui, 🙂"},
        ]
    },
]
SKIP = ReadOptions(skip_bad_rows=True)


def contents(path: Path) -> list[object]:
    return [row.messages if isinstance(row, ChatRow) else row.text for row in read_rows(path)]


def test_every_format_gives_the_same_rows(tmp_path: Path) -> None:
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in RECORDS)
    (tmp_path / "a.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "a.json").write_text(json.dumps(RECORDS, indent=1), encoding="utf-8")
    with (tmp_path / "a.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["messages"])
        writer.writerows([json.dumps(record["messages"])] for record in RECORDS)
    (tmp_path / "a.tsv").write_text(
        "id\tmessages\n" + "".join(f"1\t{json.dumps(record['messages'])}\n" for record in RECORDS)
    )
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(RECORDS), tmp_path / "a.parquet")
    with lzma.open(tmp_path / "a.jsonl.xz", "wt", encoding="utf-8") as packed:
        packed.write(text)
    with gzip.open(tmp_path / "b.json.gz", "wt", encoding="utf-8") as packed:
        json.dump(RECORDS, packed)
    expected = [QUESTION_ANSWER, (Message("user", "Ça va ?"), Message("assistant", "Oui, 🙂"))]
    for path in sorted(tmp_path.iterdir()):
        assert contents(path) == expected, path


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.parquet"])
def test_messages_as_json_text_are_parsed_in_every_format(tmp_path: Path, name: str) -> None:
    question, answer = RECORDS[0]["messages"]
    record = {"prompt": json.dumps([question]), "completion": json.dumps([answer])}
    path = tmp_path / name
    if name == "a.parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist([record]), path)
    elif name == "a.csv":
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([record.keys(), record.values()])
    else:
        path.write_text(json.dumps([record] if name == "a.json" else record))
    assert contents(path) == [QUESTION_ANSWER]


def test_text_files_are_one_document_each_with_unix_line_endings(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_bytes("\ufeffone\r\n\r\ntwo \n\n".encode())
    (tmp_path / "a.md").write_bytes(b"# Title\n\ntext")
    rows = list(read_rows(tmp_path))
    assert [row.text for row in rows] == ["# Title\n\ntext", "one\n\ntwo \n\n"]
    assert str(rows[1].location) == f"{tmp_path / 'b.txt'}, line 1"


def test_a_long_text_becomes_documents_cut_at_blank_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "DOCUMENT_LIMIT", 12)
    text = "one two three\nfour\n\nfive\n\nsix seven eight\n\n" + "no blank line\n" * 5
    (tmp_path / "a.txt").write_text(text)
    rows = list(read_rows(tmp_path / "a.txt"))
    assert "".join(row.text for row in rows) == text
    assert rows[0].text == "one two three\nfour\n\n"
    assert rows[1].text == "five\n\nsix seven eight\n\n"
    assert rows[1].location.number == 4
    assert len(rows) == 5


def test_a_folder_is_read_in_sorted_order_without_hidden_files(tmp_path: Path) -> None:
    for name in (
        "z.txt",
        "sub/m.txt",
        "sub/.hidden.txt",
        ".git/config.txt",
        "a.TXT",
        "Thumbs.db",
        "sub/desktop.ini",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert contents(tmp_path) == ["a.TXT", "sub/m.txt", "z.txt"]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("b.docx", "plain text"),
        ("b.pdf", "pdftotext"),
        ("b.xlsx", "CSV"),
        ("b.tar.xz", "unpack"),
        ("b.png", ".jsonl"),
    ],
)
def test_file_of_an_unknown_kind_is_reported_with_advice(
    tmp_path: Path, name: str, advice: str
) -> None:
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(UnsupportedFile):
        list(read_rows(tmp_path))
    skipped: list[DataError] = []
    assert len(list(read_rows(tmp_path, skipped=skipped))) == 1
    [error] = skipped
    assert error.location.file == str(tmp_path / name)
    assert advice in error.advice
    with pytest.raises(UnsupportedFile):
        list(read_rows(tmp_path / name, skipped=[]))


def test_skip_bad_rows_leaves_out_bad_rows_and_reports_them(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one"}\n{"text": 2}\n{"text": "three"}\n')
    skipped: list[DataError] = []
    assert [row.text for row in read_rows(path, SKIP, skipped)] == ["one", "three"]
    assert [error.location.number for error in skipped] == [2]
    path.write_text('{"text": 1}\n')
    with pytest.raises(DataError) as caught:
        list(read_rows(path, SKIP, []))
    assert caught.value.location.number == 1, "an error, since no row is left"


# Name -> (file name, content, line or row of the error, text that the error must contain).
BROKEN_FILES = {
    "empty": ("a.txt", b"", None, "empty"),
    "only spaces": ("a.md", b" \n\n ", None, "empty"),
    "empty jsonl": ("a.jsonl", b"\n\n", None, "empty"),
    "empty json": ("a.json", b"", None, "empty"),
    "no rows": ("a.json", b"[]", None, "empty"),
    "empty csv": ("a.csv", b"", None, "empty"),
    "empty tsv": ("a.tsv", b"\n", None, "empty"),
    "csv header only": ("a.csv", b"text\n", None, "no rows"),
    "separator line only": ("a.csv", b"sep=;\n", None, "empty"),
    "binary": ("a.txt", b"text\n\x89PNG\x00\x01", None, "byte 9"),
    "binary jsonl": ("a.jsonl", b"\x7fELF\x00", None, "binary"),
    "latin-1": ("a.txt", b"one\ntwo\ncaf\xe9\n", 3, "byte 11"),
    "latin-1 jsonl": ("a.jsonl", b'{"text": "\xe9"}\n', 1, "byte 10"),
    "latin-1 json": ("a.json", b'[\n{"text": "\xe9"}]', 2, "byte 12"),
    "half a json line": ("a.jsonl", b'{"text": "a"}\n{"text": \n', 2, "column"),
    "half a json": ("a.json", b'[{"text": "a"},\n', None, "line 2"),
    "json lines named json": ("a.json", b'{"text": "a"}\n{"text": "b"}\n', None, ".jsonl"),
    "a json object": ("a.json", b'{"text": "a"}', None, "list"),
    "deep json": ("a.jsonl", b"[" * 200_000, 1, "nested"),
    "a huge number": ("a.jsonl", b'{"text": ' + b"9" * 5000 + b"}", 1, "numbers"),
    "missing column": ("a.jsonl", b'{"txt": "a", "n": null}', 1, "'n (null)'"),
    "missing column csv": ("a.csv", b"txt,b\n1,2\n3,4\n", 2, "'txt', 'b'"),
    "open quote": ("a.csv", b'text\n"abc\ndef\n', 2, "quote"),
    "too many cells": ("a.csv", b"text,n\na,1\nb,2,3\n", 3, "3 cells"),
    "column twice": ("a.csv", b"text,text\na,b\n", 1, "twice"),
    "not parquet": ("a.parquet", b"PAR1 not really", None, "parquet"),
    "empty parquet": ("a.parquet", b"", None, "parquet"),
    "not xz": ("a.txt.xz", b"plain", None, ".xz"),
    "cut xz": ("a.txt.xz", lzma.compress(b"text " * 1000)[:-20], None, ".xz"),
    "not gz": ("a.json.gz", b"plain", None, ".gz"),
    "cut gz": ("a.jsonl.gz", gzip.compress(b'{"text": "a"}\n' * 1000)[:-9], None, ".gz"),
}


@pytest.mark.parametrize(
    ("name", "content", "number", "expected"), BROKEN_FILES.values(), ids=BROKEN_FILES.keys()
)
def test_broken_file_is_an_error_with_location_cause_and_remedy(
    tmp_path: Path, name: str, content: bytes, number: int | None, expected: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        list(read_rows(path))
    assert (caught.value.location.file, caught.value.location.number) == (str(path), number)
    assert expected in f"{caught.value.cause} {caught.value.advice}"
    assert caught.value.remedy
    assert path.read_bytes() == content


def test_a_missing_path_and_an_empty_folder_are_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(DataError) as caught:
            list(read_rows(path))
        assert caught.value.location.file == str(path)


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv"])
def test_a_line_over_the_limit_is_an_error_and_the_next_is_still_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(lines, "LINE_LIMIT", 64)
    good = {"a.txt": b"short\n", "a.jsonl": b'{"text": "b"}\n', "a.csv": b"text\n"}[name]
    (tmp_path / name).write_bytes(good + b"x" * 1000 + b"\n" + good)
    items = list(scan_rows(tmp_path / name))
    errors = [item for item in items if isinstance(item, DataError)]
    assert [str(error.location) for error in errors] == [f"{tmp_path / name}, line 2"]
    if name == "a.jsonl":
        rows = [item for item in items if isinstance(item, TextRow)]
        assert [row.location.number for row in rows] == [1, 3]


def test_a_line_of_exactly_the_limit_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "LINE_LIMIT", 64)
    (tmp_path / "a.txt").write_bytes(b"x" * 63 + b"\n" + b"y" * 64)
    [text] = contents(tmp_path / "a.txt")
    assert isinstance(text, str)
    assert len(text) == 128


@pytest.mark.parametrize("size", [2**28, pytest.param(2**30, marks=pytest.mark.full)])
def test_a_huge_line_is_not_held_in_memory(tmp_path: Path, size: int) -> None:
    pytest.importorskip(
        "resource", reason="peak memory is measured with the resource module, which Windows lacks"
    )
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.seek(size)  # a sparse file: one line, no space on disk
        file.write(b"\n")
    code = (
        "import resource, sys; from chatwright.data.readers.row_reader import scan_rows\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "[error] = scan_rows(sys.argv[1]); print(error.location.number)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    line, megabytes = done.stdout.splitlines()
    assert line == "1"
    assert int(megabytes) < 200


def test_csv_with_quotes_newlines_and_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffprompt,completion\r\n"a, ""b""\nc",d\r\n\r\n[1] e,f\r\n'.encode())
    rows = list(read_rows(path))
    assert [[m.text for m in row.messages] for row in rows if isinstance(row, ChatRow)] == [
        ['a, "b"\nc', "d"],
        ["[1] e", "f"],
    ]
    assert [row.location.number for row in rows] == [2, 5]


def test_errors_in_json_and_parquet_name_the_row(tmp_path: Path) -> None:
    records = [{"text": "a"}, {"text": ""}]
    (tmp_path / "a.json").write_text(json.dumps(records))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), tmp_path / "a.parquet")
    for name in ("a.json", "a.parquet"):
        with pytest.raises(DataError) as caught:
            list(read_rows(tmp_path / name))
        assert str(caught.value.location) == f"{tmp_path / name}, row 2"


def test_rows_after_a_bad_row_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": 1}\n{"text": "good"}\nnot json\n')
    kinds = [(type(item), item.location.number) for item in scan_rows(path)]
    assert kinds == [(DataError, 1), (TextRow, 2), (DataError, 3)]


def test_links_to_folders_broken_links_and_pipes_are_reported(tmp_path: Path) -> None:
    """A linked folder is not followed, and reading does not wait for a pipe."""
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "t.txt").write_text("text")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "gone.txt").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "pipe.txt")
    (folder / "a.txt").write_text("text")
    items = list(scan_rows(folder))
    unsupported = [item for item in items if isinstance(item, UnsupportedFile)]
    assert [Path(item.location.file).name for item in unsupported] == [
        "gone.txt",
        "link",
        "pipe.txt",
    ]
    assert [item.text for item in items if isinstance(item, TextRow)] == ["text"]


def test_a_parquet_value_that_python_cannot_hold_is_an_error(tmp_path: Path) -> None:
    table = pyarrow.table({"text": ["a"], "when": pyarrow.array([2**40], pyarrow.timestamp("s"))})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    [error] = scan_rows(tmp_path / "a.parquet")
    assert isinstance(error, DataError)
    assert error.location.file == str(tmp_path / "a.parquet")


def test_control_characters_in_a_file_name_are_escaped(tmp_path: Path) -> None:
    (tmp_path / "a\x1b[31m.txt").write_bytes(b"\xff\n")
    [error] = scan_rows(tmp_path)
    assert str(error.location).endswith("a\\x1b[31m.txt, line 1")


def test_tsv_files_of_every_kind_are_read(tmp_path: Path) -> None:
    (tmp_path / "1.tsv").write_text("text\tlabel\na film\tgood\n")
    (tmp_path / "2.tsv").write_text("prompt\tcompletion\nHi?\tHello.\n")
    (tmp_path / "3.tsv").write_text("un\tone\tCC-BY\n")
    (tmp_path / "4.tsv").write_text("source\ttarget\nun\tone\n")
    rows = list(read_rows(tmp_path))
    assert [type(row) for row in rows] == [TextRow, ChatRow, SentencePair, SentencePair]
    assert isinstance(rows[0], TextRow)
    assert rows[0].label == "good"
