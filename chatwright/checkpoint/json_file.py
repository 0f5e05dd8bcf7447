"""A JSON object from a file that anybody may have written: small, whole, and nothing but data."""

import json
from pathlib import Path
from typing import Any

MAX_BYTES = 16 * 2**20


def read_object(file: Path) -> dict[str, Any]:
    try:
        if not file.is_file() or file.stat().st_size > MAX_BYTES:
            raise ValueError(f"missing, no ordinary file, or larger than {MAX_BYTES // 2**20} MiB")
        table = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{file}: cannot be read ({error}). Give the directory of a model, with all of its files."
        ) from None
    if not isinstance(table, dict):
        raise ValueError(
            f"{file}: cannot be read (it holds no JSON object). Give the directory of a model, with all of its files."
        )
    return table
