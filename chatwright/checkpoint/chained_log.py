"""An append-only file of JSON lines, each with the hash of the line before it.

A changed, removed or inserted line breaks the chain, and reading names it. Removing whole lines at
the end is not noticed. A line that a crash left unfinished is ignored, and the next append removes
it. Every append is synced to disk before it returns. Writers hold the lock of the folder.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chatwright.durable_file import sync_directory, sync_open_file
from chatwright.errors import InputError

START = "0" * 64
"""The hash before the first line."""
PREVIOUS = "previous"
HASH = "hash"
Record = dict[str, Any]


def read(file: Path) -> list[Record]:
    """Return the records of the file, oldest first; none if there is no file.

    Raises:
        InputError: A line was changed, removed or inserted. `value` is its number.
    """
    complete, _ = _split(_content(file))
    records: list[Record] = []
    previous = START
    for number, line in enumerate(complete, 1):
        record = _parse(line)
        if record is None or line != _line(record) or record[PREVIOUS] != previous:
            raise _changed(file, number)
        previous = record[HASH]
        records.append({k: v for k, v in record.items() if k not in (PREVIOUS, HASH)})
    return records


def append(file: Path, record: Mapping[str, Any]) -> None:
    """Append a record durably. The caller holds the writer lock of the file's folder.

    Raises:
        InputError: An earlier line was changed, removed or inserted.
    """
    read(file)
    complete, torn = _split(content := _content(file))
    previous = _parse(complete[-1])[HASH] if complete else START  # type: ignore[index]
    body = dict(record) | {PREVIOUS: previous}
    line = _line(body | {HASH: _hash(body)}) + b"\n"
    is_new = not file.exists()
    with file.open("ab") as stream:
        if torn:
            stream.truncate(len(content) - len(torn))
        stream.write(line)
        sync_open_file(stream)
    if is_new:
        sync_directory(file.parent)


def _content(file: Path) -> bytes:
    return file.read_bytes() if file.is_file() else b""


def _split(content: bytes) -> tuple[list[bytes], bytes]:
    """Return the complete lines, and the beginning of a line that a crash left unfinished."""
    *complete, torn = content.split(b"\n")
    return complete, torn


def _parse(line: bytes) -> Record | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_record = isinstance(record, dict) and {PREVIOUS, HASH} <= record.keys()
    return record if is_record else None


def _line(record: Mapping[str, Any]) -> bytes:
    """Write a record with its hash; one record has exactly one form, so each byte counts."""
    body = {key: value for key, value in record.items() if key != HASH}
    return _dump(body | {HASH: _hash(body)})


def _hash(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_dump(body)).hexdigest()


def _dump(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, allow_nan=False, ensure_ascii=False).encode()


def _changed(file: Path, number: int) -> InputError:
    return InputError(
        f"{file}: line {number:,} was changed, or a line before it was removed or inserted, after "
        "it was written. So the history in this file cannot be trusted.",
        remedy="Restore the file from a backup. Without one, move it away: the models stay, and "
        "their history begins again.",
        field=file.name,
        value=number,
    )
