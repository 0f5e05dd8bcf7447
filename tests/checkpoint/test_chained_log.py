"""The append-only log: a torn last line is dropped, and every changed byte is found."""

import subprocess
import sys
from pathlib import Path

import pytest

from chatwright.checkpoint import chained_log
from chatwright.errors import InputError

RECORDS = [{"kind": "added", "n": n, "text": "é\n🙂"} for n in range(3)]
APPEND = """
import sys
from pathlib import Path
from chatwright.checkpoint import chained_log
from chatwright.checkpoint.lock import writer_lock
folder = Path(sys.argv[1])
for n in range(20):
    with writer_lock(folder, 30):
        chained_log.append(folder / "log", {"by": sys.argv[2], "n": n})
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    for record in RECORDS:
        chained_log.append(tmp_path / "log", record)
    return tmp_path / "log"


def test_records_are_read_in_order(log: Path) -> None:
    assert chained_log.read(log) == RECORDS
    assert chained_log.read(log.with_name("other")) == []


def test_a_line_torn_at_any_byte_is_ignored_and_then_replaced(log: Path) -> None:
    whole = log.read_bytes()
    start_of_last = whole.rstrip(b"\n").rindex(b"\n") + 1
    for cut in range(start_of_last, len(whole)):
        log.write_bytes(whole[:cut])
        assert chained_log.read(log) == RECORDS[:2]
        chained_log.append(log, RECORDS[2])
        assert log.read_bytes() == whole


def test_a_changed_byte_is_found_in_its_line(log: Path) -> None:
    whole = log.read_bytes()
    for position in range(0, len(whole) - 1, 3):
        changed = bytearray(whole)
        changed[position] ^= 1
        log.write_bytes(bytes(changed))
        with pytest.raises(InputError) as caught:
            chained_log.read(log)
        # A line break that is changed joins two lines; one that appears splits a line.
        assert caught.value.value == whole[:position].count(b"\n") + 1
        with pytest.raises(InputError):
            chained_log.append(log, {"kind": "more"})


@pytest.mark.parametrize("order", [[1, 2], [0, 2], [1, 0, 2], [0, 0, 1, 2]])
def test_removed_repeated_and_reordered_lines_are_found(log: Path, order: list[int]) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[index] for index in order))
    with pytest.raises(InputError):
        chained_log.read(log)


def test_processes_that_append_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", APPEND, str(tmp_path), name]) for name in "ab"
    ]
    assert [writer.wait() for writer in writers] == [0, 0]
    records = chained_log.read(tmp_path / "log")
    for name in "ab":
        assert [record["n"] for record in records if record["by"] == name] == list(range(20))
