"""While one process writes into a folder, another gets an error with the first one's process id."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from chatwright.checkpoint.lock import HOLDER_FILE, writer_lock
from chatwright.errors import InputError

HOLD_LOCK = """
import sys
from pathlib import Path
from chatwright.checkpoint.lock import writer_lock
with writer_lock(Path(sys.argv[1])):
    print(flush=True)
    sys.stdin.read()
"""


def test_a_second_process_gets_an_error_until_the_first_one_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline()
        with pytest.raises(InputError, match=str(other.pid)) as caught, writer_lock(tmp_path):
            pass
        assert (caught.value.field, caught.value.value) == ("out", str(tmp_path))
        assert "--out" in caught.value.remedy
        other.kill()
        other.wait()
        with writer_lock(tmp_path):
            assert (tmp_path / HOLDER_FILE).read_text() == str(os.getpid())


def test_the_same_process_cannot_hold_a_folder_twice(tmp_path: Path) -> None:
    with writer_lock(tmp_path):
        with pytest.raises(InputError, match=str(os.getpid())), writer_lock(tmp_path):
            pass
        assert (tmp_path / HOLDER_FILE).exists()  # the failed attempt did not delete the file


def test_a_folder_can_be_held_again_after_its_release(tmp_path: Path) -> None:
    for _ in range(2):
        with writer_lock(tmp_path / "new"):
            pass


def test_a_lock_is_reported_before_its_holder_has_written_its_process_id(tmp_path: Path) -> None:
    with writer_lock(tmp_path):
        (tmp_path / HOLDER_FILE).unlink()
        with pytest.raises(InputError) as caught, writer_lock(tmp_path):
            pass
    assert caught.value.field == "out"


def test_a_file_system_without_locks_raises_its_own_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def acquire(*_: object, **__: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    with pytest.raises(OSError, match=os.strerror(errno.ENOLCK)), writer_lock(tmp_path):
        pass
