"""The live file of feedback: one JSON line for each piece, appended while people rate.

A rater's session and a server may append to one log at the same time; a lock keeps their lines
apart. Each line is on disk before `append` returns. A crash can only cut the line that was being
written, whose `append` never returned: the next `append` removes it, and `read_log` leaves it out.
Train from a snapshot (`snapshot.py`) of a log, not from the log itself, which grows.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock

from chatwright.data.preferences import Feedback
from chatwright.data.readers.feedback_json import feedback_from_json, feedback_to_json
from chatwright.data.readers.files import READ_ERRORS, unreadable
from chatwright.data.readers.values import parse_json
from chatwright.data.rows import DataError, Location
from chatwright.durable_file import sync_directory, sync_open_file

LOCK_SUFFIX = ".lock"
CHUNK = 2**16  # bytes


class FeedbackLog:
    """A file to which feedback is appended; it is created at the first piece."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, feedback: Feedback) -> None:
        """Write one piece of feedback, and return when it is on disk.

        Raises InputError for a message that holds an image or a file, and OSError if the file
        cannot be written.
        """
        line = _line(feedback)
        is_new = not self.path.exists()
        with FileLock(self.path.with_name(self.path.name + LOCK_SUFFIX)):
            with self.path.open("ab+") as file:
                _remove_cut_line(file)
                file.write(line)
                sync_open_file(file)
            if is_new:
                sync_directory(self.path.parent)

    def remove_last(self, feedback: Feedback) -> bool:
        """Remove the last line if it is this piece of feedback; return whether it was.

        A rater takes back a decision this way. Nothing else changes or removes a line.
        """
        line = _line(feedback)
        lock = FileLock(self.path.with_name(self.path.name + LOCK_SUFFIX))
        with lock, self.path.open("rb+") as file:
            _remove_cut_line(file)
            start = file.tell() - len(line)
            if start < 0:
                return False
            file.seek(start)
            is_last = file.read() == line and _begins_a_line(file, start)
            if is_last:
                file.truncate(start)
                sync_open_file(file)
            return is_last


@dataclass(frozen=True)
class LogRead:
    """The feedback of a log."""

    feedback: tuple[Feedback, ...]
    is_cut: bool
    """Whether the last line was cut by a crash, and left out."""


def read_log(path: Path) -> LogRead:
    """Read a log. Raises DataError, which names the line, if a whole line is wrong."""
    if not path.is_file():
        raise DataError(Location(str(path)), "there is no such file", "check the path")
    try:
        lines = path.read_bytes().split(b"\n")
    except READ_ERRORS as error:
        raise unreadable(path, error) from None
    *whole, rest = lines
    feedback = tuple(
        _feedback(line, Location(str(path), number))
        for number, line in enumerate(whole, 1)
        if line.strip()
    )
    return LogRead(feedback, bool(rest))


def _feedback(line: bytes, location: Location) -> Feedback:
    try:
        values = parse_json(line.decode(), location)
    except UnicodeDecodeError:
        raise DataError(location, "the line is not UTF-8", "remove it") from None
    if not isinstance(values, dict):
        raise DataError(location, "the line is not an object", "remove it")
    return feedback_from_json(values, location)


def _line(feedback: Feedback) -> bytes:
    return json.dumps(feedback_to_json(feedback), ensure_ascii=False).encode() + b"\n"


def _begins_a_line(file: BinaryIO, start: int) -> bool:
    file.seek(max(0, start - 1))
    return start == 0 or file.read(1) == b"\n"


def _remove_cut_line(file: BinaryIO) -> None:
    """Truncate the file after its last newline."""
    end = file.seek(0, os.SEEK_END)
    start = end
    while start > 0:
        start = max(0, start - CHUNK)
        file.seek(start)
        newline = file.read(min(CHUNK, end - start)).rfind(b"\n")
        if newline >= 0:
            start += newline + 1
            break
    if start < end:
        file.truncate(start)
    file.seek(0, os.SEEK_END)
