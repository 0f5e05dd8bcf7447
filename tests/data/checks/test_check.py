"""The check reports each planted problem with location, reason and fix, and counts rows."""

import json
from pathlib import Path
from typing import Any

import pytest

from chatwright.data.checks.check import check
from chatwright.data.checks.check_report import format_report, to_json
from chatwright.data.readers.data_source import ReadOptions
from tests.data.letters import chat, write_json_lines


def test_every_problem_is_reported_once_and_good_rows_are_counted(tmp_path: Path) -> None:
    records: list[Any] = [
        chat("a", "b"),
        chat("a"),
        {"txt": 1},
        chat("c", "d"),
        {"prompt": "p", "chosen": "x", "rejected": "y"},
    ]
    write_json_lines(tmp_path / "a.jsonl", records)
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write("{broken\n")
    (tmp_path / "b.txt").write_bytes(b"fine\ncaf\xe9\n")
    (tmp_path / "c.txt").write_bytes(b"")
    (tmp_path / "d.txt").write_text("some text")
    (tmp_path / "e.docx").write_bytes(b"PK")
    report = check(tmp_path)
    assert [str(problem.location).removeprefix(f"{tmp_path}/") for problem in report.problems] == [
        "e.docx",
        "a.jsonl, line 2",
        "a.jsonl, line 3",
        "a.jsonl, line 6",
        "b.txt, line 2",
        "c.txt",
    ]
    assert all(problem.reason and problem.fix for problem in report.problems)
    assert report.n_rows == {"conversation": 2, "preference": 1, "text": 1}
    assert report.n_characters == {"conversation": 4, "preference": 3, "text": 9}
    assert report.n_turns == {"user": 3, "assistant": 4}
    assert not report.is_ok


def test_good_data_has_no_problems(tmp_path: Path) -> None:
    write_json_lines(tmp_path / "a.jsonl", [chat("a", "b")])
    report = check(tmp_path / "a.jsonl")
    assert report.is_ok
    assert not report.warnings
    assert "1 conversation row, 2 characters" in format_report(report)


def test_a_missing_path_is_a_problem_in_the_report(tmp_path: Path) -> None:
    report = check(tmp_path / "nowhere")
    assert not report.is_ok
    assert [problem.location.file for problem in report.problems] == [str(tmp_path / "nowhere")]


def test_duplicates_are_reported_but_are_not_problems(tmp_path: Path) -> None:
    long = " ".join(f"word{i}" for i in range(100))
    write_json_lines(
        tmp_path / "a.jsonl",
        [chat("a", "b"), chat("A", "b "), {"text": long}, {"text": long + " end"}],
    )
    report = check(tmp_path)
    assert report.is_ok
    reported = [(d.location.number, d.of.number, d.is_exact) for d in report.duplicates]
    assert reported == [(2, 1, True)]
    assert f"{tmp_path / 'a.jsonl'}, line 2" in format_report(report)
    near = check(tmp_path, near=0.8)
    reported = [(d.location.number, d.of.number, d.is_exact) for d in near.duplicates]
    assert reported == [(2, 1, True), (4, 3, False)]


def test_the_longest_rows_come_first(tmp_path: Path) -> None:
    lengths = (3, 9, 1, 7, 9, 2, 8)
    write_json_lines(tmp_path / "a.jsonl", [{"text": "x" * length} for length in lengths])
    longest = [(row.location.number, row.n_characters) for row in check(tmp_path).longest]
    assert longest == [(2, 9), (5, 9), (7, 8), (4, 7), (1, 3)]


def test_problems_of_one_kind_are_one_entry_with_count_and_first_locations(tmp_path: Path) -> None:
    write_json_lines(tmp_path / "a.jsonl", [{"text": ""}] * 15 + [chat("a", " ")] * 4)
    write_json_lines(tmp_path / "b.jsonl", [{"text": ""}] * 15 + [chat("a", "b", "c", " ")])
    for name in ("c.docx", "d.docx"):
        (tmp_path / name).write_bytes(b"PK")
    lines = format_report(check(tmp_path)).splitlines()
    heading = next(i for i, line in enumerate(lines) if line.startswith("37 "))
    entries = [lines[i : i + 3] for i in range(heading + 1, len(lines), 3)]
    assert len(entries) == 3, "one entry each for .docx files, empty texts and empty messages"
    docx, text, message = entries
    assert "2 times" in docx[0]
    assert "30 times" in text[0]
    assert text[1].endswith(f"{tmp_path / 'a.jsonl'}, lines 1, 2, 3; and 27 more")
    assert "fix: " in text[2]
    assert "5 times" in message[0]


def test_files_that_are_not_read_are_counted_in_the_summary(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    for name in ("b.docx", "c.docx", "d.PDF"):
        (tmp_path / name).write_bytes(b"")
    report = check(tmp_path)
    assert report.n_files_not_read == {".docx": 2, ".pdf": 1}
    assert "3 files (2 .docx, 1 .pdf)" in format_report(report)


def test_a_file_that_is_nearly_all_of_the_text_gets_a_warning(tmp_path: Path) -> None:
    (tmp_path / "server.txt").write_text("GET / 200\n" * 10_000)
    (tmp_path / "note.txt").write_text("a note")
    report = check(tmp_path)
    [warning] = report.warnings
    assert "server.txt" in warning
    assert "100.0 %" in warning
    assert report.is_ok, "a warning is not a problem"
    assert warning in format_report(report)
    assert check(tmp_path / "server.txt").warnings == []


def test_rows_without_an_answer_to_learn_get_a_warning(tmp_path: Path) -> None:
    write_json_lines(tmp_path / "a.jsonl", [chat("a", "b"), chat("c", "d") | {"train": False}])
    report = check(tmp_path)
    assert report.n_not_learned == 1
    assert len(report.warnings) == 1


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.tsv", "text\tlabel\nx\tgood\ny\tbad\n", "text"),
        ("a.tsv", "un\tone\ndeux\ttwo\n", "sentence pair"),
        ("a.csv", "source;target\nun;one\ndeux;two\n", "sentence pair"),
        ("a.tsv", "prompt\tcompletion\nHi?\tHello.\nWho?\tMe.\n", "conversation"),
    ],
)
def test_rows_of_delimited_tables_are_counted_by_kind(
    tmp_path: Path, name: str, content: str, kind: str
) -> None:
    (tmp_path / name).write_text(content)
    report = check(tmp_path)
    assert report.is_ok
    assert report.n_rows == {kind: 2}
    assert report.n_labels == ({"good": 1, "bad": 1} if kind == "text" else {})


def test_check_accepts_an_encoding_and_renamed_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("customer;agent\ncaf\u00e9?;Yes.\n".encode("cp1252"))
    assert not check(tmp_path).is_ok
    options = ReadOptions(
        encoding="cp1252", rename_columns={"customer": "prompt", "agent": "completion"}
    )
    assert check(tmp_path, options=options).n_rows == {"conversation": 1}


def test_the_json_report_lists_every_problem_and_holds_no_text(tmp_path: Path) -> None:
    records = [{"text": ["secret words"]}] * 15 + [{"text": "secret words"}]
    write_json_lines(tmp_path / "a.jsonl", records)
    labeled = [{"text": "x", "label": f"secret {i}"} for i in range(30)]
    write_json_lines(tmp_path / "b.jsonl", labeled)
    document = json.loads(to_json(check(tmp_path)))
    assert document["is_ok"] is False
    assert len(document["problems"]) == 15
    assert document["problems"][3]["location"] == {
        "file": str(tmp_path / "a.jsonl"),
        "number": 4,
        "unit": "line",
    }
    assert document["n_rows"] == {"text": 31}
    assert "secret" not in json.dumps(document)
    assert "secret" not in format_report(check(tmp_path))
