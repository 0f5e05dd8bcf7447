"""Hashes of settings and data, which show whether they have changed."""

import hashlib
import json
from pathlib import Path
from typing import Any

from chatwright.checkpoint import directory
from chatwright.data.readers.files import files_below
from chatwright.errors import InputError


def hash_json(value: Any) -> str:
    """Return the SHA-256 of a value written as JSON."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def content_hash(path: Path) -> str:
    """Return a hash of a file, or of the names and contents of all data files below a directory.

    Files that are never read as data, such as those of a .git directory, do not count.

    Raises:
        InputError: The path does not exist.
    """
    if not path.exists():
        raise InputError(
            f"{path}: there is no such file or directory.",
            remedy="Give the data with --data PATH, or correct the recipe.",
            field="data",
            value=str(path),
        )
    files = [path] if path.is_file() else [file for file in files_below(path) if file.is_file()]
    return hash_json([[str(file.relative_to(path)), directory.sha256(file)] for file in files])
