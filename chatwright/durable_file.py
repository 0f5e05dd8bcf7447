"""Write files and the entries of directories to disk, so that they survive a power cut."""

import errno
import os
from pathlib import Path
from typing import IO

CANNOT_SYNC = {errno.EACCES, errno.EBADF, errno.EINVAL, errno.EISDIR, errno.ENOTSUP, errno.EPERM}
"""Errors of systems (Windows) and network file systems that cannot sync a directory."""


def sync_open_file(file: IO[str] | IO[bytes]) -> None:
    """Write to disk what was written to an open file."""
    file.flush()
    os.fsync(file.fileno())


def sync_file(path: Path) -> None:
    """Write a closed file to disk."""
    # Windows syncs only files that are open for writing.
    _sync(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)


def sync_directory(path: Path) -> None:
    """Write a directory's entries to disk, where the system allows it (Windows does not)."""
    try:
        _sync(path, os.O_RDONLY)
    except OSError as error:
        if error.errno not in CANNOT_SYNC:
            raise


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
