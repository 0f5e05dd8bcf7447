"""Every format gives the same rows; every broken file gives an error that names file, place, cause and remedy."""

import csv
import gzip
import json
import lzma
import os
import subprocess
import sys

import pyarrow
import pyarrow.parquet
import pytest

from chatwright.conversation import Message
from chatwright.data import files, readers
from chatwright.data.readers import read_rows, scan_rows
from chatwright.data.rows import ChatRow, DataError, TextRow, UnsupportedFile

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


def contents(path):
    return [row.messages if isinstance(row, ChatRow) else row.text for row in read_rows(path)]


def test_every_format_gives_the_same_rows(tmp_path):
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in RECORDS)
    (tmp_path / "a.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "a.json").write_text(json.dumps(RECORDS, indent=1), encoding="utf-8")
    with (tmp_path / "a.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["messages"])
        writer.writerows([json.dumps(record["messages"])] for record in RECORDS)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(RECORDS), tmp_path / "a.parquet")
    with lzma.open(tmp_path / "a.jsonl.xz", "wt", encoding="utf-8") as file:
        file.write(lines)
    with gzip.open(tmp_path / "b.json.gz", "wt", encoding="utf-8") as file:
        json.dump(RECORDS, file)
    expected = [QUESTION_ANSWER, (Message("user", "Ça va ?"), Message("assistant", "Oui, 🙂"))]
    for name in ("a.jsonl", "a.json", "a.csv", "a.parquet", "a.jsonl.xz", "b.json.gz"):
        assert contents(tmp_path / name) == expected, name


def test_text_files_are_one_document_each_exactly_as_written(tmp_path):
    (tmp_path / "b.txt").write_bytes("\ufeffone\r\n\r\ntwo \n\n".encode())
    (tmp_path / "a.md").write_bytes(b"# Title\n\ntext")
    rows = list(read_rows(tmp_path))
    assert [row.text for row in rows] == ["# Title\n\ntext", "one\n\ntwo \n\n"]
    assert str(rows[1].location) == f"{tmp_path / 'b.txt'}, line 1"


def test_a_long_text_becomes_documents_cut_at_blank_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "DOCUMENT_LIMIT", 12)
    text = "one two three\nfour\n\nfive\n\nsix seven eight\n\n" + "no blank line\n" * 5
    (tmp_path / "a.txt").write_text(text)
    rows = list(read_rows(tmp_path / "a.txt"))
    assert "".join(row.text for row in rows) == text
    assert rows[0].text == "one two three\nfour\n\n"
    assert rows[1].text == "five\n\nsix seven eight\n\n"
    assert rows[1].location.number == 4
    assert len(rows) == 5


def test_a_folder_is_read_in_sorted_order_without_hidden_files(tmp_path):
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


def test_an_unknown_kind_of_file_is_never_left_out_unseen(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "b.pdf").write_bytes(b"%PDF")
    (tmp_path / "c.tar.xz").write_bytes(b"")
    with pytest.raises(
        UnsupportedFile,
        match=r"b\.pdf: files of the kind \.pdf are not read\. Convert it to one of \.txt",
    ):
        list(read_rows(tmp_path))
    skipped: list[DataError] = []
    assert [row.text for row in read_rows(tmp_path, skipped)] == ["text"]
    assert [error.location.file.rsplit("/", 1)[1] for error in skipped] == ["b.pdf", "c.tar.xz"]
    assert "unpack it" in skipped[1].remedy
    with pytest.raises(UnsupportedFile):
        list(read_rows(tmp_path / "b.pdf", []))


def test_bad_rows_can_be_left_out_only_into_a_list(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one"}\n{"text": 2}\n{"text": "three"}\n')
    skipped: list[DataError] = []
    assert [row.text for row in read_rows(path, skipped, skip_bad_rows=True)] == ["one", "three"]
    assert [str(error.location) for error in skipped] == [f"{path}, line 2"]
    path.write_text('{"text": 1}\n')
    with pytest.raises(
        DataError, match="text is a number"
    ):  # nothing at all is left: that is not a success
        list(read_rows(path, [], skip_bad_rows=True))


BROKEN_FILES = {
    "empty": ("a.txt", b"", "a.txt: the file is empty. Fill it or remove it"),
    "only spaces": ("a.md", b" \n\n ", "a.md: the file is empty"),
    "empty jsonl": ("a.jsonl", b"\n\n", "a.jsonl: the file is empty"),
    "empty json": ("a.json", b"", "a.json: the file is empty"),
    "no rows": ("a.json", b"[]", "a.json: the file is empty"),
    "empty csv": ("a.csv", b"", "a.csv: the file is empty"),
    "csv header only": (
        "a.csv",
        b"text\n",
        "a.csv: the file holds a first line with column names and no rows",
    ),
    "binary": (
        "a.txt",
        b"text\n\x89PNG\x00\x01",
        "a.txt: this is a binary file, not text (a zero byte at byte 9)",
    ),
    "binary jsonl": ("a.jsonl", b"\x7fELF\x00", "a.jsonl: this is a binary file"),
    "utf-16": ("a.txt", "text".encode("utf-16"), "a.txt: the file is UTF-16. Save it as UTF-8"),
    "latin-1": (
        "a.txt",
        b"one\ntwo\ncaf\xe9\n",
        "a.txt, line 3: byte 11 of the file is not valid UTF-8. Save the file as UTF-8",
    ),
    "latin-1 jsonl": (
        "a.jsonl",
        b'{"text": "\xe9"}\n',
        "a.jsonl, line 1: byte 10 of the file is not valid UTF-8",
    ),
    "latin-1 json": (
        "a.json",
        b'[\n{"text": "\xe9"}]',
        "a.json, line 2: byte 12 of the file is not valid UTF-8",
    ),
    "half a json line": (
        "a.jsonl",
        b'{"text": "a"}\n{"text": \n',
        "a.jsonl, line 2: invalid JSON at column",
    ),
    "half a json": ("a.json", b'[{"text": "a"},\n', "a.json: invalid JSON at line"),
    "json lines named json": (
        "a.json",
        b'{"text": "a"}\n{"text": "b"}\n',
        "a.json: line 2 begins a second JSON value. Rename the file to .jsonl",
    ),
    "a json object": ("a.json", b'{"text": "a"}', "a.json: the file does not hold a list of rows"),
    "deep json": ("a.jsonl", b"[" * 200_000, "a.jsonl, line 1: the JSON is nested too deeply"),
    "a huge number": (
        "a.jsonl",
        b'{"text": ' + b"9" * 5000 + b"}",
        "a.jsonl, line 1: invalid JSON (Exceeds the limit",
    ),
    "missing column": (
        "a.jsonl",
        b'{"txt": "a", "n": null}',
        "line 1: no known shape fits the columns found ('txt', 'n' (null)). Rename the columns to one of: text, messages, prompt",
    ),
    "missing column csv": (
        "a.csv",
        b"txt,b\n1,2\n3,4\n",
        "a.csv, line 2: no known shape fits the columns found ('txt', 'b')",
    ),
    "open quote": (
        "a.csv",
        b'text\n"abc\ndef\n',
        "a.csv, line 2: the CSV cannot be read from here (unexpected end of data)",
    ),
    "too many cells": (
        "a.csv",
        b"text,n\na,1\nb,2,3\n",
        "a.csv, line 3: the row has 3 cells, the first line names 2 columns",
    ),
    "column twice": (
        "a.csv",
        b"text,text\na,b\n",
        "a.csv, line 1: the first line names a column twice",
    ),
    "not parquet": ("a.parquet", b"PAR1 not really", "a.parquet: this is not a whole parquet file"),
    "empty parquet": ("a.parquet", b"", "a.parquet: this is not a whole parquet file"),
    "not xz": ("a.txt.xz", b"plain", "a.txt.xz: the file is not a whole .xz file"),
    "cut xz": (
        "a.txt.xz",
        lzma.compress(b"text " * 1000)[:-20],
        "a.txt.xz: the file is not a whole .xz file",
    ),
    "not gz": ("a.json.gz", b"plain", "a.json.gz: the file is not a whole .gz file"),
    "cut gz": (
        "a.jsonl.gz",
        gzip.compress(b'{"text": "a"}\n' * 1000)[:-9],
        "a.jsonl.gz: the file is not a whole .gz file",
    ),
}


@pytest.mark.parametrize(
    ("name", "content", "message"), BROKEN_FILES.values(), ids=BROKEN_FILES.keys()
)
def test_a_broken_file_is_named_with_cause_and_remedy(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as error:
        list(read_rows(tmp_path / name))
    assert str(error.value).startswith(str(tmp_path))
    assert message in str(error.value)
    assert error.value.remedy
    assert (tmp_path / name).read_bytes() == content


def test_a_path_that_is_not_there_and_an_empty_folder(tmp_path):
    with pytest.raises(
        DataError, match=r"nowhere: there is no such file or folder\. Check the path"
    ):
        list(read_rows(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="the folder is empty"):
        list(read_rows(tmp_path))


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv"])
def test_a_line_over_the_limit_is_an_error_and_the_next_is_still_read(tmp_path, monkeypatch, name):
    monkeypatch.setattr(files, "LINE_LIMIT", 64)
    good = {"a.txt": b"short\n", "a.jsonl": b'{"text": "b"}\n', "a.csv": b"text\n"}[name]
    (tmp_path / name).write_bytes(good + b"x" * 1000 + b"\n" + good)
    items = list(scan_rows(tmp_path / name))
    errors = [item for item in items if isinstance(item, DataError)]
    assert [str(error.location) for error in errors] == [f"{tmp_path / name}, line 2"]
    if name == "a.jsonl":
        assert [item.text for item in items if isinstance(item, TextRow)] == ["b", "b"]
        assert [item.location.number for item in items if isinstance(item, TextRow)] == [1, 3]


def test_a_line_of_exactly_the_limit_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LINE_LIMIT", 64)
    (tmp_path / "a.txt").write_bytes(b"x" * 63 + b"\n" + b"y" * 64)
    assert len(contents(tmp_path / "a.txt")[0]) == 128


@pytest.mark.parametrize("size", [2**28, pytest.param(2**30, marks=pytest.mark.full)])
def test_a_huge_line_does_not_come_into_memory(tmp_path, size):
    pytest.importorskip(
        "resource", reason="peak memory is measured with the resource module, which Windows lacks"
    )
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.seek(size)  # a sparse file: one line, no space on disk
        file.write(b"\n")
    code = (
        "import resource, sys; from chatwright.data.readers import scan_rows\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "error, = scan_rows(sys.argv[1]); print(error)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    message, megabytes = done.stdout.splitlines()
    assert message.endswith(
        "a.jsonl, line 1: the line is longer than 16 MiB. Break the text into lines, or the row into several rows"
    )
    assert int(megabytes) < 200


def test_csv_with_quotes_newlines_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffprompt,completion\r\n"a, ""b""\nc",d\r\n\r\n[1] e,f\r\n'.encode())
    rows = list(read_rows(path))
    assert [[m.text for m in row.messages] for row in rows] == [
        ['a, "b"\nc', "d"],
        ["[1] e", "f"],
    ]
    assert [row.location.number for row in rows] == [2, 5]


def test_row_numbers_name_json_and_parquet_rows(tmp_path):
    records = [{"text": "a"}, {"text": ""}]
    (tmp_path / "a.json").write_text(json.dumps(records))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), tmp_path / "a.parquet")
    for name in ("a.json", "a.parquet"):
        with pytest.raises(DataError, match=f"{name}, row 2: text is empty"):
            list(read_rows(tmp_path / name))


def test_one_bad_row_does_not_hide_the_next(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": 1}\n{"text": "good"}\nnot json\n')
    bad, good, worse = scan_rows(path)
    assert (str(bad.location), good.text, str(worse.location)) == (
        f"{path}, line 1",
        "good",
        f"{path}, line 3",
    )


def test_what_is_no_file_of_its_own_is_told(tmp_path):
    """A linked folder is neither followed nor left out in silence, and nobody waits for a pipe to be written to."""
    place = tmp_path / "data"
    place.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "t.txt").write_text("text")
    (place / "link").symlink_to(tmp_path / "elsewhere")
    (place / "gone.txt").symlink_to(tmp_path / "nowhere")
    os.mkfifo(place / "pipe.txt")
    (place / "a.txt").write_text("text")
    found = list(scan_rows(place))
    assert [
        str(item.location.file).rpartition("/")[2]
        for item in found
        if isinstance(item, UnsupportedFile)
    ] == ["gone.txt", "link", "pipe.txt"]
    assert any(
        "give that folder itself" in item.remedy
        for item in found
        if isinstance(item, UnsupportedFile)
    )
    assert [item.text for item in found if isinstance(item, TextRow)] == ["text"]


def test_a_parquet_value_that_python_cannot_hold_is_told(tmp_path):
    table = pyarrow.table({"text": ["a"], "when": pyarrow.array([2**40], pyarrow.timestamp("s"))})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    [error] = scan_rows(tmp_path / "a.parquet")
    assert isinstance(error, DataError)
    assert "a value in it cannot be read" in error.cause


def test_a_files_name_does_not_speak_to_the_terminal(tmp_path):
    (tmp_path / "a\x1b[31m.txt").write_bytes(b"\xff\n")
    [error] = scan_rows(tmp_path)
    assert str(error.location).endswith("a\\x1b[31m.txt, line 1")
