"""Let one process at a time write into a folder.

Two runs in one folder would delete each other's unfinished checkpoints and mix their logs. The
operating system holds the lock and releases it when the process ends, even after a crash. Readers
take no lock.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from chatwright.errors import InputError

LOCK_FILE = ".lock"
# The process id is in a separate file: on Windows, other processes cannot read a locked file.
HOLDER_FILE = ".lock-holder"


@contextmanager
def writer_lock(path: Path, seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock of the folder `path`, creating the folder if needed.

    Args:
        path: The folder.
        seconds: Time to wait for another holder of the lock.

    Raises:
        InputError: Another process, or another lock in this process, holds the folder.
    """
    path.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(path / LOCK_FILE), path / HOLDER_FILE
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        raise _locked_error(path, holder) from None
    try:
        holder.write_text(str(os.getpid()), encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def is_being_written(path: Path) -> bool:
    """Return whether a process holds the lock of the folder `path`, without taking the lock."""
    try:
        return psutil.pid_exists(int((path / HOLDER_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError):  # nobody holds it, or the holder is writing its id
        return False


def _locked_error(path: Path, holder: Path) -> InputError:
    try:
        process = f"process {int(holder.read_text(encoding='utf-8'))}"
    except (OSError, ValueError):  # the other process has not yet written its id
        process = "another process"
    return InputError(
        f"{path}: {process} is writing into this folder.",
        remedy="Wait until it ends, or stop it (it saves its state and can be resumed), or choose "
        "another folder with --out.",
        field="out",
        value=str(path),
    )
