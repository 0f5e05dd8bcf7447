"""Files of every encoding and line ending are read, or the error gives working advice."""

import gzip
import subprocess
from pathlib import Path

import pytest

from chatwright.data.readers.data_source import ReadOptions
from chatwright.data.readers.encoding import likely_encoding
from chatwright.data.readers.lines import read_lines
from chatwright.data.readers.row_reader import read_rows, scan_rows
from chatwright.data.rows import DataError
from chatwright.errors import InputError

CURLY = "He said \u201cno\u201d \u2013 caf\u00e9 \u2026 \u20ac5\n"
CYRILLIC = "\u041f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440\n"


def texts(path: Path, encoding: str = "") -> list[str]:
    return [row.text for row in read_rows(path, ReadOptions(encoding=encoding))]


def error_of(path: Path, encoding: str = "") -> DataError:
    with pytest.raises(DataError) as caught:
        texts(path, encoding)
    return caught.value


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.json", "a.csv", "a.tsv", "a.json.gz"])
def test_a_byte_order_mark_decides_the_encoding(tmp_path: Path, name: str, encoding: str) -> None:
    content = {
        "txt": "caf\u00e9",
        "jsonl": '{"text": "caf\u00e9"}\n',
        "json": '[{"text": "caf\u00e9"}]',
        "csv": "text\ncaf\u00e9\n",
        "tsv": "n\ttext\n1\tcaf\u00e9\n",
    }[name.split(".")[1]]
    data = content.encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    assert texts(tmp_path / name) == ["caf\u00e9"]


@pytest.mark.parametrize("encoding", ["cp1252", "cp1251", "shift_jis", "gb18030", "mac_roman"])
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.json", "a.csv"])
def test_a_named_encoding_is_used_for_files_that_are_not_utf8(
    tmp_path: Path, name: str, encoding: str
) -> None:
    text = {
        "cp1252": CURLY,
        "cp1251": CYRILLIC,
        "shift_jis": "\u65e5\u672c\u8a9e\n",
        "gb18030": "\u4e2d\u6587\n",
        "mac_roman": "f\u00fcr das Caf\u00e9\n",
    }[encoding].strip()
    content = {
        "txt": text,
        "jsonl": f'{{"text": "{text}"}}\n',
        "json": f'[{{"text": "{text}"}}]',
        "csv": f"text\n{text}\n",
    }[name.split(".")[1]]
    path = tmp_path / name
    path.write_bytes(content.encode(encoding))
    assert texts(path, encoding) == [text]
    path.write_bytes(content.encode("utf-8"))
    assert texts(path, encoding) == [text], "a UTF-8 file stays UTF-8 whatever encoding is named"


def test_utf8_byte_order_mark_before_another_encoding_is_not_part_of_the_text(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbf" + CURLY.encode("cp1252"))
    assert texts(path, "cp1252") == [CURLY]
    error = error_of(path)
    assert "byte order mark" in error.cause
    assert "byte 11 " in error.cause


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_the_advised_conversion_of_cp1252_gives_the_right_text(tmp_path: Path, mark: bytes) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(mark + CURLY.encode("cp1252"))
    error = error_of(path)
    assert error.field == "encoding"
    command = error.advice.partition("convert it: ")[2]
    command = command.replace("OLD", str(path)).replace("NEW", str(tmp_path / "new.txt"))
    subprocess.run(["sh", "-c", command], check=True)
    assert texts(tmp_path / "new.txt") == [CURLY]


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.json"])
def test_error_for_utf16_without_a_byte_order_mark_names_the_encoding(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes('[{"text": "caf\u00e9"}]'.encode("utf-16-be"))
    error = error_of(tmp_path / name)
    assert "--encoding utf-16-be" in error.advice
    assert "iconv -f latin1" not in str(error)


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        (CURLY, "cp1252", "cp1252"),
        (
            "\u00abC\u2019\u00e9tait l\u2019\u00e9t\u00e9\u00bb, \u00fcber Stra\u00dfe",
            "cp1252",
            "cp1252",
        ),
        ("plain caf\u00e9", "latin-1", "cp1252"),
        (CYRILLIC, "cp1251", ""),
        (CYRILLIC, "koi8-r", ""),
        ("\u039a\u03b1\u03bb\u03b7\u03bc\u03ad\u03c1\u03b1", "cp1253", ""),
        ("\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8", "shift_jis", ""),
        ("\u4e2d\u6587\u6587\u672c", "gb18030", ""),
        ("f\u00fcr das Caf\u00e9 \u2013 voil\u00e0", "mac_roman", ""),
        ("plain text", "utf-16-le", "utf-16-le"),
        ("plain text", "utf-16-be", "utf-16-be"),
    ],
)
def test_likely_encoding_is_given_only_for_unambiguous_bytes(
    text: str, encoding: str, expected: str
) -> None:
    assert likely_encoding(text.encode(encoding)) == expected


def test_a_wrong_or_unknown_encoding_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"caf\x81\n")
    assert error_of(tmp_path / "a.txt", "cp1252").field == "encoding"
    for name in ("klingon", "rot13", "base64"):
        with pytest.raises(InputError) as caught:
            ReadOptions(encoding=name)
        assert caught.value.field == "encoding"
        assert caught.value.value == name


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "a.tsv", "a.jsonl.gz"])
def test_carriage_returns_end_lines_in_files_without_newlines(tmp_path: Path, name: str) -> None:
    lines, expected = {
        "txt": (["one", "two"], ["one\ntwo\n"]),
        "jsonl": (['{"text": "one"}', '{"text": "two"}'], ["one", "two"]),
        "csv": (["n,text", "1,one", '2,"two\rlines"'], ["one", "two\nlines"]),
        "tsv": (["n\ttext", "1\tone", "2\ttwo"], ["one", "two"]),
    }[name.split(".")[1]]
    data = "".join(f"{line}\r" for line in lines).encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    assert texts(tmp_path / name) == expected


def test_a_carriage_return_inside_a_line_of_other_endings_stays(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\rtwo\nthree\r\n")
    assert texts(tmp_path / "a.txt") == ["one\rtwo\nthree\n"]


@pytest.mark.parametrize(
    ("start", "word"),
    [(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", "PDF"), (b"PK\x03\x04\x14\x00", "Office")],
)
def test_error_for_a_document_named_like_a_text_file_names_its_format(
    tmp_path: Path, start: bytes, word: str
) -> None:
    (tmp_path / "a.txt").write_bytes(start + b"rest")
    assert word in error_of(tmp_path / "a.txt").cause


def test_lines_after_a_line_in_another_encoding_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\ncaf\xe9\nthree\n")
    kinds = [type(item).__name__ for item in read_lines(tmp_path / "a.txt")]
    assert kinds == ["Line", "DataError", "Line"]
    assert len(list(scan_rows(tmp_path / "a.txt"))) == 1
