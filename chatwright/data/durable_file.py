"""Write the entries of a directory to disk, so that a new file survives a power cut."""

import errno
import os
from pathlib import Path

CANNOT_SYNC = {errno.EACCES, errno.EBADF, errno.EINVAL, errno.EISDIR, errno.ENOTSUP, errno.EPERM}
"""Errors of systems (Windows) and network file systems that cannot sync a directory."""


def sync_directory(path: Path) -> None:
    """Sync a directory where the system allows it."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        if error.errno not in CANNOT_SYNC:
            raise
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in CANNOT_SYNC:
            raise
    finally:
        os.close(descriptor)
