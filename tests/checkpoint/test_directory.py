"""After a crash or on a full disk, a directory is complete or absent; damaged files are found."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chatwright.checkpoint import directory
from chatwright.checkpoint.directory import BrokenCheckpoint
from chatwright.errors import InputError

SYSTEM_CALLS = ("mkdir", "open", "fsync", "close", "rename", "rmdir", "unlink")


class Crash(BaseException):
    """Simulates a killed process: nothing catches this exception, and no code runs after it."""


def write(path: Path, content: str) -> None:
    with directory.atomic_directory(path) as temporary:
        (temporary / "a.txt").write_text(content)
        (temporary / "b.txt").write_text(content * 2)


def read(path: Path) -> str:
    directory.verify(path)
    return (path / "a.txt").read_text()


def crash_at(monkeypatch: pytest.MonkeyPatch, number: int, after: bool) -> None:
    """Simulate a crash before or after the system call with this number: later calls fail too."""
    count = 0

    def wrap(call: Callable) -> Callable:
        def wrapped(*args, **kwargs):
            nonlocal count
            if count > number:
                raise Crash
            crashes = count == number
            count += 1
            if crashes and not after:
                raise Crash
            result = call(*args, **kwargs)
            if crashes:
                raise Crash
            return result

        return wrapped

    for name in SYSTEM_CALLS:
        monkeypatch.setattr(os, name, wrap(getattr(os, name)))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("replaces", [False, True], ids=["new", "replacing"])
def test_a_crash_at_any_system_call_leaves_the_old_or_the_new_directory(
    tmp_path: Path, after: bool, replaces: bool
) -> None:
    allowed = ("old", "new") if replaces else (None, "new")
    seen = set()
    for number in range(200):
        path = tmp_path / str(number) / "model"
        path.parent.mkdir()
        if replaces:
            write(path, "old")
        with pytest.MonkeyPatch.context() as patch:
            crash_at(patch, number, after)
            try:
                write(path, "new")
                crashed = False
            except Crash:
                crashed = True
        readable = directory.readable_path(path)  # readers need no recovery
        assert (read(readable) if readable.exists() else None) in allowed
        directory.recover(path.parent)
        content = read(path) if path.exists() else None
        assert content in allowed
        assert [p.name for p in path.parent.iterdir() if p.name.startswith(".")] == []
        seen.add(content)
        if not crashed:
            break
    assert number > 10, "too few system calls were intercepted"
    assert len(seen) == 2


def test_verify_detects_a_directory_with_old_and_new_files(tmp_path: Path) -> None:
    """A power failure leaves such a mixture if files are overwritten one by one."""
    write(tmp_path / "model", "old")
    (tmp_path / "model" / "a.txt").write_text("new")
    with pytest.raises(BrokenCheckpoint) as caught:
        directory.verify(tmp_path / "model")
    assert caught.value.field == "a.txt"


@pytest.mark.parametrize("failing_call", ["open", "fsync"])
def test_a_directory_is_saved_even_if_the_system_cannot_sync_directories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing_call: str
) -> None:
    """Windows refuses to open a directory; some network file systems refuse to sync one."""
    fail_for_directories(
        monkeypatch, failing_call, errno.EACCES if failing_call == "open" else errno.EINVAL
    )
    write(tmp_path / "model", "old")
    write(tmp_path / "model", "new")
    assert read(tmp_path / "model") == "new"
    directory.write_text(tmp_path / "file", "text")
    assert (tmp_path / "file").read_text() == "text"


def test_a_disk_error_while_a_directory_is_synced_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_for_directories(monkeypatch, "fsync", errno.EIO)
    with pytest.raises(InputError) as caught:
        write(tmp_path / "model", "new")
    assert caught.value.field == "out"
    assert not (tmp_path / "model").exists()


def fail_for_directories(monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> None:
    """Make `os.open` or `os.fsync` fail for directories with this error number."""
    original = getattr(os, call)

    def failing(target, *args):
        if os.path.isdir(target):
            raise OSError(number, os.strerror(number))
        return original(target, *args)

    monkeypatch.setattr(os, call, failing)


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import torch
from chatwright.checkpoint import directory, safetensors_file
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    with directory.atomic_directory(Path(sys.argv[1])) as temporary:
        safetensors_file.save({"w": torch.zeros(1000)}, temporary / "model.safetensors")
        (temporary / "config.json").write_text("x" * 6000)
except ValueError as error:
    print(type(error).__name__, error.field)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits on file size need a POSIX system")
@pytest.mark.parametrize("free_bytes", [0, 100, 5000])
def test_a_full_disk_keeps_the_old_directory_and_is_reported(
    tmp_path: Path, free_bytes: int
) -> None:
    """A limit on the file size makes the first write fail, or the tensors, or config.json."""
    target = tmp_path / "model"
    write(target, "old")
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(target), str(free_bytes)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "InputError out\n"
    assert read(target) == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_verify_names_the_damaged_file(tmp_path: Path) -> None:
    write(tmp_path / "good", "content")
    for name, damage, file in (
        ("missing", lambda p: (p / "b.txt").unlink(), "b.txt"),
        ("short", lambda p: (p / "b.txt").write_text("x"), "b.txt"),
        ("changed", lambda p: (p / "b.txt").write_text("CONTENTcontent"), "b.txt"),
        ("no manifest", lambda p: (p / "MANIFEST.json").unlink(), "MANIFEST.json"),
        ("garbled manifest", lambda p: (p / "MANIFEST.json").write_text("{"), "MANIFEST.json"),
    ):
        bad = tmp_path / name
        shutil.copytree(tmp_path / "good", bad)
        directory.verify(bad)
        damage(bad)
        with pytest.raises(BrokenCheckpoint) as caught:
            directory.verify(bad)
        assert caught.value.field == file
        assert caught.value.remedy


def test_the_newest_valid_directory_is_chosen_and_damaged_ones_are_reported(
    tmp_path: Path,
) -> None:
    for step in (1, 2, 3):
        write(tmp_path / f"step-{step}", str(step))
    (tmp_path / "step-3" / "a.txt").write_text("9")
    reports: list[str] = []
    assert directory.newest_valid(tmp_path, "step-*", reports.append) == tmp_path / "step-2"
    assert len(reports) == 1
    assert "step-3" in reports[0]
