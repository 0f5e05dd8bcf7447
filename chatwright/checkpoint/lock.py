"""One process at a time writes into a folder.

Two runs in one folder would clear each other's half-built checkpoints and mix their logs. The lock is the kernel's: it goes with the process
that holds it, however that ends, and nothing has to be cleared afterwards.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".lock"


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Hold `path`, a folder made if need be. Raises ValueError where another process holds it, without touching anything."""
    path.mkdir(parents=True, exist_ok=True)
    with (path / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise ValueError(
                f"{path}: process {file.read()} is writing here already. Wait until it has ended, or stop it (it saves itself and can "
                "go on), or give another --out folder."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
