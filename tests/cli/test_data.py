"""`chatwright data check` and `chatwright data show` on files that offices have."""

import json
from pathlib import Path

import pytest

from chatwright.data.rows import DataError
from chatwright.errors import InputError
from tests.cli.conftest import Command

OPTIONS = ("--encoding", "cp1252", "--columns", "customer=prompt,agent=completion")


@pytest.fixture
def european_table(tmp_path: Path) -> Path:
    """A table as a European Excel saves it: semicolons, cp1252, its own column names."""
    path = tmp_path / "chats.csv"
    path.write_bytes("sep=;\r\ncustomer;agent\r\nCaf\u00e9?;Yes, \u20ac2.\r\n".encode("cp1252"))
    return path


def test_check_reads_a_table_with_its_encoding_and_columns(
    european_table: Path, command: Command
) -> None:
    assert command("data", "check", european_table).status == 1
    outcome = command("data", "check", european_table, *OPTIONS, "--json")
    assert outcome.status == 0, outcome.err
    report = json.loads(outcome.out)
    assert report["n_rows"] == {"conversation": 1}
    assert report["problems"] == []


def test_show_prints_the_rows_as_they_are_read(european_table: Path, command: Command) -> None:
    outcome = command("data", "show", european_table, *OPTIONS)
    assert outcome.status == 0, outcome.err
    assert outcome.out.split("\n")[:2] == ["user: Caf\u00e9?", "assistant: Yes, \u20ac2."]


def test_show_names_the_encoding_that_a_file_seems_to_have(
    european_table: Path, command: Command
) -> None:
    error = command("data", "show", european_table).error
    assert isinstance(error, DataError)
    assert error.field == "encoding"
    assert "--encoding cp1252" in error.remedy


@pytest.mark.parametrize(
    ("option", "value", "field"),
    [("--encoding", "klingon", "encoding"), ("--columns", "customer", "columns")],
)
def test_a_wrong_option_is_refused(
    european_table: Path, command: Command, option: str, value: str, field: str
) -> None:
    outcome = command("data", "check", european_table, option, value)
    assert outcome.status == 2
    assert isinstance(outcome.error, InputError)
    assert outcome.error.field == field


def test_check_reports_labels_and_sentence_pairs_in_tsv(tmp_path: Path, command: Command) -> None:
    (tmp_path / "labels.tsv").write_text("text\tlabel\na film\tgood\nanother\tbad\n")
    (tmp_path / "pairs.tsv").write_text("un\tone\ndeux\ttwo\n")
    outcome = command("data", "check", tmp_path, "--json")
    report = json.loads(outcome.out)
    assert report["n_rows"] == {"text": 2, "sentence pair": 2}
    assert report["n_labels"] == {"good": 1, "bad": 1}
    assert outcome.status == 0


def test_show_reports_files_of_a_folder_that_are_not_read(tmp_path: Path, command: Command) -> None:
    (tmp_path / "a.docx").write_bytes(b"")
    (tmp_path / "b.txt").write_text("some text")
    outcome = command("data", "show", tmp_path)
    assert outcome.status == 0
    assert "some text" in outcome.out
    assert "a.docx" in outcome.err
