"""The check reports every planted problem once, with place, reason and fix, and counts what is there."""

import json

from chatwright.data.check import check, format_report, to_json


def write(path, *records):
    path.write_text(
        "".join(
            (record if isinstance(record, str) else json.dumps(record)) + "\n" for record in records
        ),
        encoding="utf-8",
    )


def chat(*contents):
    return {
        "messages": [
            {"role": ("user", "assistant")[index % 2], "content": content}
            for index, content in enumerate(contents)
        ]
    }


def test_every_problem_is_reported_once_and_good_rows_are_counted(tmp_path):
    write(
        tmp_path / "a.jsonl",
        chat("a", "b"),
        "{broken",
        chat("a"),
        {"txt": 1},
        chat("c", "d"),
        {"prompt": "p", "chosen": "x", "rejected": "y"},
    )
    (tmp_path / "b.txt").write_bytes(b"fine\ncaf\xe9\n")
    (tmp_path / "c.txt").write_bytes(b"")
    (tmp_path / "d.txt").write_text("some text")
    (tmp_path / "e.docx").write_bytes(b"PK")
    report = check(tmp_path)
    assert [str(problem.location).removeprefix(f"{tmp_path}/") for problem in report.problems] == [
        "e.docx", "a.jsonl, line 2", "a.jsonl, line 3", "a.jsonl, line 4", "b.txt, line 2", "c.txt",
    ]  # fmt: skip
    assert all(problem.reason and problem.fix for problem in report.problems)
    assert report.n_rows == {"conversation": 2, "preference": 1, "text": 1}
    assert report.n_characters == {"conversation": 4, "preference": 3, "text": 9}
    assert report.n_turns == {"user": 3, "assistant": 4}
    assert not report.is_ok


def test_good_data_has_no_problems(tmp_path):
    write(tmp_path / "a.jsonl", chat("a", "b"))
    report = check(tmp_path / "a.jsonl")
    assert report.is_ok
    assert format_report(report).endswith("no problems")
    assert "1 conversation row, 2 characters" in format_report(report)


def test_a_missing_path_is_a_report_not_a_crash(tmp_path):
    report = check(tmp_path / "nowhere")
    assert not report.is_ok
    assert "there is no such file or folder" in format_report(report)


def test_duplicates_are_reported_and_are_not_problems(tmp_path):
    long = " ".join(f"word{i}" for i in range(100))
    write(
        tmp_path / "a.jsonl",
        chat("a", "b"),
        chat("A", "b "),
        {"text": long},
        {"text": long + " end"},
    )
    report = check(tmp_path)
    assert report.is_ok
    assert [(d.location.number, d.of.number, d.is_exact) for d in report.duplicates] == [
        (2, 1, True)
    ]
    assert "1 rows repeat an earlier row" in format_report(report)
    near = check(tmp_path, near=0.8)
    assert [(d.location.number, d.of.number, d.is_exact) for d in near.duplicates] == [
        (2, 1, True),
        (4, 3, False),
    ]
    assert "1 nearly repeat one" in format_report(near)


def test_the_longest_rows_come_first(tmp_path):
    write(tmp_path / "a.jsonl", *({"text": "x" * length} for length in (3, 9, 1, 7, 9, 2, 8)))
    assert [(row.location.number, row.n_characters) for row in check(tmp_path).longest] == [
        (2, 9),
        (5, 9),
        (7, 8),
        (4, 7),
        (1, 3),
    ]


def test_the_terminal_report_names_place_reason_and_fix(tmp_path):
    write(tmp_path / "a.jsonl", *[{"text": ""}] * 15)
    text = format_report(check(tmp_path))
    assert (
        f"  {tmp_path / 'a.jsonl'}, line 1\n      text is empty\n      fix: fill it or remove the row"
        in text
    )
    assert "15 problems" in text
    assert "5 more" in text
    assert "line 11" not in text


def test_the_json_report_lists_all_and_holds_no_text(tmp_path):
    write(tmp_path / "a.jsonl", *[{"text": ["secret words"]}] * 15, {"text": "secret words"})
    document = json.loads(to_json(check(tmp_path)))
    assert document["is_ok"] is False
    assert len(document["problems"]) == 15
    assert document["problems"][3] == {
        "location": {"file": str(tmp_path / "a.jsonl"), "number": 4, "unit": "line"},
        "reason": "text is a list, not a text",
        "fix": "write it as a text in quotes",
    }
    assert "secret" not in json.dumps(document)
