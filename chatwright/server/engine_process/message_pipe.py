"""Send JSON messages between two processes: four bytes of length, then UTF-8."""

from __future__ import annotations

import json
import struct
from typing import IO, Any

Json = dict[str, Any]

_LENGTH = struct.Struct(">I")
LONGEST = 256 * 2**20
"""Bytes of the longest message. A longer one is a bug, and reading it could fill the memory."""


def write_message(stream: IO[bytes], message: Json) -> None:
    """Write one message and flush it; OSError if nobody reads."""
    content = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
    assert len(content) <= LONGEST, f"a message of {len(content)} bytes"
    stream.write(_LENGTH.pack(len(content)) + content)
    stream.flush()


def read_message(stream: IO[bytes]) -> Json | None:
    """Read one message; None at the end of the stream, also in the middle of a message."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    assert length <= LONGEST, f"a message of {length} bytes"
    content = stream.read(length)
    if len(content) < length:
        return None
    message: Json = json.loads(content)
    return message
