"""`chatwright feedback`: a log becomes a snapshot, which is shown, filtered and exported."""

import json
from pathlib import Path

import pytest

from chatwright.data.feedback_log import FeedbackLog
from chatwright.data.preferences import Ranking
from chatwright.data.readers.row_reader import read_rows
from chatwright.data.rows import DataError, PreferenceRow, ThumbRow
from chatwright.data.snapshot import read_snapshot, write_snapshot
from chatwright.errors import InputError
from tests.cli.conftest import Command
from tests.data.feedback_examples import correction, ranking, thumb

FEEDBACK = [
    ranking("ann", "q", ("x", "y", "z"), (1, 2, 2)),
    ranking("ann", "q", ("x", "y", "z"), (1, 2, 2), minute=1),
    ranking("bob", "q", ("x", "y", "z"), (3, 3, 3)),
    ranking("bob", "r", ("secret", "y", "z"), (1, 2, 3), are_all_bad=True),
    thumb("ann", "s", "x", True),
    correction("ann", "t", "x", "w"),
]


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    path = tmp_path / "a.jsonl"
    write_snapshot(path, FEEDBACK)
    return path


def test_a_log_becomes_a_snapshot_with_the_hash_of_the_one_before(
    tmp_path: Path, command: Command
) -> None:
    log = FeedbackLog(tmp_path / "log.jsonl")
    log.append(FEEDBACK[0])
    assert command("feedback", "snapshot", log.path, tmp_path / "a.jsonl").status == 0
    log.append(FEEDBACK[2])
    with log.path.open("ab") as file:
        file.write(b'{"feedback": "rank')
    outcome = command(
        *("feedback", "snapshot", log.path, tmp_path / "b.jsonl"),
        *("--previous", tmp_path / "a.jsonl"),
    )
    assert outcome.status == 0, outcome.err
    first = read_snapshot(tmp_path / "a.jsonl")
    second = read_snapshot(tmp_path / "b.jsonl")
    assert second.previous == first.sha256
    assert list(second.feedback) == [FEEDBACK[0], FEEDBACK[2]]
    assert second.sha256 in outcome.out
    again = command("feedback", "snapshot", log.path, tmp_path / "b.jsonl")
    assert isinstance(again.error, InputError)
    assert again.error.field == "out"


def test_show_counts_without_text(snapshot: Path, command: Command) -> None:
    outcome = command("feedback", "show", snapshot, "--json")
    figures = json.loads(outcome.out)
    assert figures["n_of_kind"] == {"ranking": 4, "thumb": 1, "correction": 1}
    assert figures["left_out"] == {"duplicate": 1}
    assert (figures["ties"], figures["all_bad"], figures["n_kept"]) == (1, 1, 5)
    assert not figures["is_simulated"]
    for options in ((), ("--json",)):
        assert "secret" not in command("feedback", "show", snapshot, *options).out
    assert "secret" in command("feedback", "show", snapshot, "--text", "--rows", "4").out


def test_show_reads_a_live_file_and_labels_simulated_feedback(
    tmp_path: Path, command: Command
) -> None:
    log = FeedbackLog(tmp_path / "log.jsonl")
    log.append(ranking("simulated\x1b[1m", "q", is_simulated=True))
    outcome = command("feedback", "show", log.path)
    assert outcome.status == 0, outcome.err
    assert "SIMULATED" in outcome.out
    assert "\x1b" not in outcome.out


def test_a_changed_snapshot_is_refused(snapshot: Path, command: Command) -> None:
    snapshot.write_bytes(snapshot.read_bytes().replace(b"secret", b"public"))
    outcome = command("feedback", "show", snapshot)
    assert outcome.status == 2
    assert isinstance(outcome.error, DataError)


def test_filter_keeps_what_show_keeps_and_names_its_source(
    snapshot: Path, tmp_path: Path, command: Command
) -> None:
    outcome = command("feedback", "filter", snapshot, tmp_path / "b.jsonl")
    assert outcome.status == 0, outcome.err
    kept = read_snapshot(tmp_path / "b.jsonl")
    assert list(kept.feedback) == [FEEDBACK[0], *FEEDBACK[2:]]
    assert kept.previous == read_snapshot(snapshot).sha256


def test_export_for_trl_and_import_again(snapshot: Path, tmp_path: Path, command: Command) -> None:
    pairs, labels = tmp_path / "pairs.jsonl", tmp_path / "labels.jsonl"
    assert command("feedback", "export", snapshot, pairs).status == 0
    outcome = command("feedback", "export", snapshot, labels, "--as", "trl-unpaired")
    assert outcome.status == 0, outcome.err
    rows = list(read_rows(pairs))
    assert all(isinstance(row, PreferenceRow) for row in rows)
    stated = [(row.chosen[0].text, row.rejected[0].text) for row in rows]
    assert stated[:2] == [("x", "y"), ("x", "z")]
    assert len(stated) == 2 + 2 + 3 + 1
    thumbs = [(row.reply[0].text, row.is_good) for row in read_rows(labels)]
    assert thumbs == [
        *[("x", True), ("y", False), ("z", False)] * 2,
        *[("secret", False), ("y", False), ("z", False)],
        *[("x", True), ("w", True), ("x", False)],
    ]
    assert isinstance(command("feedback", "export", snapshot, pairs).error, InputError)
    for name, path in (("c", pairs), ("d", labels)):
        out = tmp_path / f"{name}.jsonl"
        outcome = command("feedback", "import", path, out, "--rater", "zoe")
        assert outcome.status == 0, outcome.err
        assert {item.rater for item in read_snapshot(out).feedback} == {"zoe"}
    first = read_snapshot(tmp_path / "c.jsonl").feedback[0]
    assert isinstance(first, Ranking)
    assert [reply.message.text for reply in first.replies] == ["x", "y"]
    assert first.ranks == (1, 2)
    assert all(isinstance(row, ThumbRow) for row in read_rows(tmp_path / "d.jsonl"))


def test_ties_cannot_be_exported_and_texts_cannot_be_imported(
    tmp_path: Path, command: Command
) -> None:
    write_snapshot(tmp_path / "a.jsonl", [FEEDBACK[2]])
    outcome = command("feedback", "export", tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    assert isinstance(outcome.error, InputError)
    assert not (tmp_path / "b.jsonl").exists()
    (tmp_path / "a.txt").write_text("some text")
    outcome = command(
        "feedback", "import", tmp_path / "a.txt", tmp_path / "c.jsonl", "--rater", "zoe"
    )
    assert isinstance(outcome.error, DataError)
    assert not (tmp_path / "c.jsonl").exists()
