import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chatwright.checkpoint.lock import only_writer

HOLD = """
import sys
from pathlib import Path
from chatwright.checkpoint.lock import only_writer
with only_writer(Path(sys.argv[1])):
    print(flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_and_told_who_writes(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline()
        with (
            pytest.raises(
                ValueError,
                match=f"process {other.pid} is writing here already.*another --out folder",
            ),
            only_writer(tmp_path),
        ):
            pass
        other.kill()
        other.wait()
        with only_writer(tmp_path):  # the lock went with its holder
            assert (tmp_path / ".lock").read_text() != str(other.pid)


def test_the_same_folder_may_be_held_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with only_writer(tmp_path / "new"):
            pass


def test_a_disk_without_locks_is_not_told_as_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", without_locks)
    with pytest.raises(OSError, match="No locks available"), only_writer(tmp_path):
        pass
