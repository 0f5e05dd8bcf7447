"""A save is whole or absent: after a crash at any system call, with a full disk at any write, with any file damaged."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chatwright.checkpoint import directory

CALLS = ("mkdir", "open", "fsync", "close", "rename", "rmdir", "unlink")


class Crash(BaseException):
    """What a killed process looks like from inside: nothing catches it, nothing after it runs."""


def write(path: Path, content: str) -> None:
    with directory.writing(path) as building:
        (building / "a.txt").write_text(content)
        (building / "b.txt").write_text(content * 2)


def read(path: Path) -> str:
    directory.verify(path)
    return (path / "a.txt").read_text()


def crash_at(monkeypatch: pytest.MonkeyPatch, number: int, after: bool) -> list[int]:
    """Crash before or after the number-th system call of a save; once crashed, no later call does anything."""
    count = [0]

    def wrap(call):
        def wrapped(*args, **kwargs):
            if count[0] > number:
                raise Crash
            count[0] += 1
            if count[0] - 1 == number and not after:
                count[0] += 1
                raise Crash
            result = call(*args, **kwargs)
            if count[0] - 1 == number:
                count[0] += 1
                raise Crash
            return result

        return wrapped

    for name in CALLS:
        monkeypatch.setattr(os, name, wrap(getattr(os, name)))
    return count


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("replaces", [False, True], ids=["new", "replacing"])
def test_a_crash_at_any_system_call_leaves_the_old_or_the_new_one_whole(
    tmp_path: Path, after: bool, replaces: bool
) -> None:
    seen = set()
    for number in range(200):
        parent = tmp_path / f"{number}"
        parent.mkdir()
        if replaces:
            write(parent / "model", "old")
        with pytest.MonkeyPatch.context() as patch:
            crash_at(patch, number, after)
            try:
                write(parent / "model", "new")
                crashed = False
            except Crash:
                crashed = True
        reader = directory.standing(parent / "model")  # who only reads needs no repair
        assert (read(reader) if reader.exists() else None) in (
            ("old", "new") if replaces else (None, "new")
        )
        directory.recover(parent)
        found = read(parent / "model") if (parent / "model").exists() else None
        assert found in (("old", "new") if replaces else (None, "new"))
        assert [p.name for p in parent.iterdir() if p.name.startswith(".")] == []
        seen.add(found)
        if not crashed:
            break
    assert number > 10, "too few system calls were intercepted: the test proved nothing"
    assert len(seen) == 2


def test_in_place_writing_would_be_caught(tmp_path: Path) -> None:
    """The control: the obvious way, file by file in place, does leave a mixture."""
    target = tmp_path / "model"
    write(target, "old")
    (target / "a.txt").write_text("new")  # and here the power goes
    with pytest.raises(
        directory.BrokenCheckpoint, match=r"a\.txt: its content is not what was saved"
    ):
        directory.verify(target)


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import torch
from chatwright.checkpoint import directory, safetensors_file
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    with directory.writing(Path(sys.argv[1])) as building:
        safetensors_file.save({"w": torch.zeros(1000)}, building / "model.safetensors")
        (building / "config.json").write_text("x" * 6000)
except ValueError as error:
    print(error)
"""


@pytest.mark.parametrize("room", [0, 100, 5000])
def test_a_full_disk_keeps_the_old_one_and_says_so(tmp_path: Path, room: int) -> None:
    """A limit on file size makes writes fail as a full disk does, at the first byte, in the tensors, in a later file."""
    target = tmp_path / "model"
    write(target, "old")
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(target), str(room)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "could not be saved" in result.stdout
    assert "Nothing was changed; make room" in result.stdout
    assert read(target) == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_every_kind_of_damage_is_named(tmp_path: Path) -> None:
    write(tmp_path / "good", "content")
    for name, damage in {
        "missing": lambda p: (p / "b.txt").unlink(),
        "short": lambda p: (p / "b.txt").write_text("x"),
        "changed": lambda p: (p / "b.txt").write_text("CONTENTcontent"),
        "unsealed": lambda p: (p / "MANIFEST.json").unlink(),
        "garbled": lambda p: (p / "MANIFEST.json").write_text("{"),
    }.items():
        bad = tmp_path / name
        shutil.copytree(tmp_path / "good", bad)
        directory.verify(bad)
        damage(bad)
        with pytest.raises(directory.BrokenCheckpoint, match="use another one|Use another one"):
            directory.verify(bad)


def test_the_newest_valid_one_wins_and_damaged_ones_are_said(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        write(tmp_path / f"step-{step}", str(step))
    (tmp_path / "step-3" / "a.txt").write_text("9")
    said: list[str] = []
    assert directory.newest_valid(tmp_path, "step-*", said.append) == tmp_path / "step-2"
    assert len(said) == 1
    assert "step-3" in said[0]
