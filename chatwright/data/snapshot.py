"""Snapshots of feedback: immutable JSONL files with a hash, from which models are trained.

    line 1   {"snapshot": 1, "lines": 2, "previous": "", "sha256": "..."}
    line 2   {"feedback": "ranking", ...}      see readers/feedback_json.py
    line 3   {"feedback": "thumb", ...}

`sha256` is the hash of the text of `previous` followed by the bytes of the lines after the header.
`previous` is the `sha256` of an earlier snapshot, so that a chain of snapshots cannot be changed
unnoticed. The hash finds damage and careless editing; whoever edits a file on purpose can compute
a new hash, so keep the hash of an important snapshot elsewhere (a model's registry does).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwright.data.preferences import Feedback
from chatwright.data.readers.feedback_json import feedback_from_json, feedback_to_json
from chatwright.data.readers.files import READ_ERRORS, format_of, open_binary, unreadable
from chatwright.data.readers.values import parse_json
from chatwright.data.rows import DataError, Location
from chatwright.durable_file import sync_directory, sync_open_file
from chatwright.errors import InputError

FORMAT = 1
SIZE_LIMIT = 512 * 2**20  # bytes; a snapshot is read whole, because its hash is checked first
BEGINNING = b'{"snapshot": '
MAKE_AGAIN = "copy it again, or make a snapshot again with: chatwright feedback snapshot LOG OUT"


@dataclass(frozen=True)
class Snapshot:
    """A snapshot that was read or written, with its feedback in the order of the lines."""

    path: Path
    sha256: str
    """Hash of the feedback and of `previous`; it names the snapshot."""
    feedback: tuple[Feedback, ...]
    previous: str = ""
    """The `sha256` of the snapshot before this one; "" if there is none."""

    @property
    def is_simulated(self) -> bool:
        """Whether a program gave any of the feedback."""
        return any(item.is_simulated for item in self.feedback)


def write_snapshot(
    path: Path, feedback: Sequence[Feedback], previous: Snapshot | None = None
) -> Snapshot:
    """Write feedback to a new file, completely or not at all, and return the snapshot.

    Raises InputError if the file exists, its name does not end in .jsonl, or there is no feedback.
    """
    if format_of(path) != ".jsonl" or path.suffix != ".jsonl":
        raise _refused(path, "a snapshot's name must end in .jsonl", "Give such a name.")
    if not feedback:
        raise _refused(path, "there is no feedback to write", "Collect feedback first.")
    if path.exists():
        raise _exists(path)
    before = previous.sha256 if previous else ""
    lines = [json.dumps(feedback_to_json(item), ensure_ascii=False) + "\n" for item in feedback]
    body = "".join(lines).encode()
    header = _header(len(lines), before, _hash(before, body))
    _write_new(path, header + body)
    return read_snapshot(path)


def is_snapshot(path: Path) -> bool:
    """Whether a file begins as a snapshot does."""
    if format_of(path) != ".jsonl":
        return False
    try:
        with open_binary(path) as file:
            return file.read(len(BEGINNING)) == BEGINNING
    except (*READ_ERRORS, DataError):
        return False  # the reader of tables reports it


def read_snapshot(path: Path) -> Snapshot:
    """Read a snapshot and check its hash.

    Raises DataError if the file is no snapshot or was changed; it names the file, or a line.
    """
    data = _read(path)
    first, _, body = data.partition(b"\n")
    header = _parse_header(first, path)
    digest, previous = header["sha256"], header["previous"]
    n_line = body.count(b"\n")
    is_whole = n_line == header["lines"] and body.endswith(b"\n")
    is_same = first + b"\n" == _header(header["lines"], previous, digest)
    if not (is_whole and is_same and digest == _hash(previous, body)):
        raise DataError(
            Location(str(path)),
            f"the snapshot was changed or is damaged: its {n_line:,} lines do not have the hash "
            "that its first line states",
            MAKE_AGAIN,
            field="sha256",
        )
    return Snapshot(path, digest, tuple(_feedback(body, path)), previous)


def _feedback(body: bytes, path: Path) -> Iterator[Feedback]:
    for number, line in enumerate(body.split(b"\n")[:-1], 2):
        location = Location(str(path), number)
        values = parse_json(line.decode(), location)
        if not isinstance(values, dict):
            raise DataError(location, "the line is not an object", MAKE_AGAIN)
        yield feedback_from_json(values, location)


def _read(path: Path) -> bytes:
    location = Location(str(path))
    if not path.is_file():  # opening a named pipe would wait forever
        raise DataError(location, "there is no such file", "check the path")
    try:
        with open_binary(path) as file:
            data = file.read(SIZE_LIMIT + 1)
    except READ_ERRORS as error:
        raise unreadable(path, error) from None
    if len(data) > SIZE_LIMIT:
        reason = f"the file is larger than {SIZE_LIMIT // 2**20} MiB"
        raise DataError(location, reason, "make several snapshots")
    return data


def _header(n_line: int, previous: str, sha256: str) -> bytes:
    header = {"snapshot": FORMAT, "lines": n_line, "previous": previous, "sha256": sha256}
    return json.dumps(header).encode() + b"\n"


def _parse_header(line: bytes, path: Path) -> dict[str, Any]:
    location = Location(str(path), 1)
    if not line.startswith(BEGINNING):
        raise DataError(
            location,
            "this is not a snapshot of feedback",
            "make one with: chatwright feedback snapshot LOG OUT, or chatwright feedback import",
        )
    try:
        header = parse_json(line.decode(), location)
    except UnicodeDecodeError:
        raise DataError(location, "the header is damaged", MAKE_AGAIN) from None
    texts = (header.get("previous"), header.get("sha256"))
    is_known = header.get("snapshot") == FORMAT and isinstance(header.get("lines"), int)
    if not is_known or not all(isinstance(text, str) for text in texts):
        raise DataError(
            location,
            "the header is damaged or of a later version",
            "update Chatwright, or make the snapshot again",
            field="snapshot",
        )
    values: dict[str, Any] = header
    return values


def _hash(previous: str, body: bytes) -> str:
    return hashlib.sha256(previous.encode() + body).hexdigest()


def _write_new(path: Path, data: bytes) -> None:
    """Write a file that does not exist yet: a crash leaves the whole file or none."""
    temporary = path.with_name(f".tmp-{path.name}-{os.getpid()}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            sync_open_file(file)
        os.link(temporary, path)  # unlike a rename, it never replaces a file
        sync_directory(path.parent)
    except FileExistsError:
        raise _exists(path) from None
    except FileNotFoundError:
        remedy = "Create the folder first, or choose another."
        raise _refused(path, "its folder does not exist", remedy) from None
    finally:
        temporary.unlink(missing_ok=True)


def _exists(path: Path) -> InputError:
    return _refused(
        path, "the file exists already, and a snapshot is never changed", "Choose another name."
    )


def _refused(path: Path, reason: str, remedy: str) -> InputError:
    return InputError(f"{path}: {reason}.", remedy=remedy, field="out", value=str(path))
