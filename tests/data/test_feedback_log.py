"""Appended feedback survives a crash at any byte; writers at the same time do not mix lines."""

import threading
from pathlib import Path

import pytest

from chatwright.data.feedback_log import FeedbackLog, read_log
from chatwright.data.rows import DataError
from tests.data.feedback_examples import ranking, thumb

FEEDBACK = [ranking("ann", "Name a color.", minute=i) for i in range(3)]


def test_feedback_is_read_in_the_order_in_which_it_was_appended(tmp_path: Path) -> None:
    path = tmp_path / "feedback.jsonl"
    log = FeedbackLog(path)
    for item in FEEDBACK:
        log.append(item)
    read = read_log(path)
    assert list(read.feedback) == FEEDBACK
    assert not read.is_cut


def test_a_line_that_a_crash_cut_is_left_out_and_the_next_one_is_whole(tmp_path: Path) -> None:
    """For a crash at every byte of the last line."""
    path = tmp_path / "feedback.jsonl"
    log = FeedbackLog(path)
    for item in FEEDBACK[:2]:
        log.append(item)
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(first + 1, len(whole)):
        path.write_bytes(whole[:length])
        read = read_log(path)
        assert (list(read.feedback), read.is_cut) == (FEEDBACK[:1], True)
    log.append(FEEDBACK[2])
    assert list(read_log(path).feedback) == [FEEDBACK[0], FEEDBACK[2]]


@pytest.mark.parametrize("n_byte", [1, 2**16 - 1, 2**16, 2**16 + 1, 3 * 2**16])
@pytest.mark.parametrize("whole", [0, 1])
def test_a_long_cut_line_is_removed(tmp_path: Path, n_byte: int, whole: int) -> None:
    path = tmp_path / "feedback.jsonl"
    log = FeedbackLog(path)
    for item in FEEDBACK[:whole]:
        log.append(item)
    with path.open("ab") as file:
        file.write(b"x" * n_byte)
    log.append(FEEDBACK[2])
    assert list(read_log(path).feedback) == [*FEEDBACK[:whole], FEEDBACK[2]]


def test_two_writers_keep_their_lines_apart(tmp_path: Path) -> None:
    path = tmp_path / "feedback.jsonl"

    def write(rater: str) -> None:
        log = FeedbackLog(path)
        for number in range(20):
            log.append(thumb(rater, f"Question {number}", "b" * 2000, is_up=True))

    writers = [threading.Thread(target=write, args=(name,)) for name in ("ann", "bob")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    read = read_log(path).feedback
    for rater in ("ann", "bob"):
        texts = [item.prompt[0].text for item in read if item.rater == rater]
        assert texts == [f"Question {number}" for number in range(20)]


@pytest.mark.parametrize("line", [b"{broken\n", b"17\n", b'{"feedback": "song"}\n', b"\xff\n"])
def test_a_wrong_whole_line_is_an_error_with_its_number(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "feedback.jsonl"
    FeedbackLog(path).append(FEEDBACK[0])
    with path.open("ab") as file:
        file.write(line)
    with pytest.raises(DataError) as caught:
        read_log(path)
    assert caught.value.location.number == 2


def test_a_missing_log_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        read_log(tmp_path / "feedback.jsonl")
