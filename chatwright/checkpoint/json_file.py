"""Read a JSON object or list from a file of unknown origin."""

import json
from pathlib import Path
from typing import Any

from chatwright.errors import InputError

MAX_BYTES = 16 * 2**20


def read_object(file: Path) -> dict[str, Any]:
    """Read a UTF-8 file that holds one JSON object.

    Raises:
        InputError: The file is missing, too large, not JSON, or holds another JSON value.
    """
    value: dict[str, Any] = _read(file, dict, "object")
    return value


def read_list(file: Path) -> list[Any]:
    """Read a UTF-8 file that holds one JSON list.

    Raises:
        InputError: The file is missing, too large, not JSON, or holds another JSON value.
    """
    value: list[Any] = _read(file, list, "list")
    return value


def _read(file: Path, kind: type, name: str) -> Any:
    try:
        if not file.is_file():  # opening a named pipe would wait forever
            raise ValueError("it is missing or not a regular file")
        if file.stat().st_size > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES // 2**20} MiB")
        value = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(value, kind):
            raise ValueError(f"it holds no JSON {name}")
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{file}: cannot be read: {error}.",
            remedy="Give a model directory that holds all files of the model.",
            field=file.name,
            value=str(file),
        ) from None
    return value
