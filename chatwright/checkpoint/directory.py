"""A directory that is either whole or does not exist.

Built in a hidden sibling, every file fsynced, a manifest of SHA-256 sums written last, then one rename: the directory's name is the
commit. A crash at any point leaves the old directory or the new one. Cost: one fsync per file and one read of it for its sum.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

MANIFEST = "MANIFEST.json"
FORMAT = 1


class BrokenCheckpoint(ValueError):
    """A directory that is not what its manifest says. The message names the file, the cause and the remedy."""


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yield an empty directory to fill; on leaving the block it becomes `path`, atomically. On an error nothing remains.

    A directory already at `path` is replaced; it stays readable until the rename.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    building = path.parent / f".tmp-{path.name}-{os.getpid()}"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    try:
        yield building
        _seal(building)
        _put_in_place(building, path)
    except OSError as error:
        raise ValueError(
            f"{path}: could not be saved: {error.strerror or error}. Nothing was changed; make room or choose another folder, "
            "then run the same command again."
        ) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _seal(building: Path) -> None:
    entries = {}
    for file in sorted(p for p in building.iterdir() if p.is_file()):
        _fsync(file)
        entries[file.name] = {"size": file.stat().st_size, "sha256": sha256(file)}
    manifest = building / MANIFEST
    manifest.write_text(json.dumps({"format": FORMAT, "files": entries}, indent=1))
    _fsync(manifest)
    _fsync(building)


def _put_in_place(building: Path, path: Path) -> None:
    if path.exists():  # rename cannot replace a filled directory, so the old one steps aside under a name `recover` knows
        aside = _aside(path)
        shutil.rmtree(aside, ignore_errors=True)
        os.rename(path, aside)
        os.rename(building, path)
        _fsync(path.parent)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        os.rename(building, path)
        _fsync(path.parent)


def _aside(path: Path) -> Path:
    return path.parent / f".old-{path.name}"


def standing(path: Path) -> Path:
    """Where the directory called `path` can be read now: between the two renames of a replacement, and after a crash there, beside its name."""
    aside = _aside(path)
    return aside if not path.exists() and aside.exists() else path


def recover(parent: Path) -> None:
    """Clear what a crash left in `parent`: half-built directories go, one that had stepped aside for a lost successor comes back.

    For the one writer of `parent` alone: beside another it would take away what that one is building.
    """
    if not parent.is_dir():
        return
    for leftover in parent.glob(".tmp-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    for aside in parent.glob(".old-*"):
        path = parent / aside.name.removeprefix(".old-")
        if path.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            os.rename(aside, path)


def verify(path: Path) -> None:
    """Raise BrokenCheckpoint unless every file is there with the size and sum the manifest states."""
    try:
        manifest = json.loads((path / MANIFEST).read_text())
        files = manifest["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokenCheckpoint(
            f"{path}: no readable {MANIFEST} ({error.__class__.__name__}): the save never finished, or this is no "
            "checkpoint. Use another one of the same run."
        ) from None
    for name, stated in files.items():
        file = path / name
        if not file.is_file() or file.stat().st_size != stated["size"]:
            raise BrokenCheckpoint(
                f"{file}: missing or not {stated['size']} bytes long. The checkpoint is damaged; use another one of the same run."
            )
        if sha256(file) != stated["sha256"]:
            raise BrokenCheckpoint(
                f"{file}: its content is not what was saved (SHA-256 differs). The checkpoint is damaged; "
                "use another one of the same run."
            )


def newest_valid(
    parent: Path, pattern: str, report: Callable[[str], None] = lambda _: None
) -> Path | None:
    """The last directory by name that verifies; damaged ones are reported and passed over."""
    for path in sorted(parent.glob(pattern), reverse=True) if parent.is_dir() else []:
        try:
            verify(path)
            return path
        except BrokenCheckpoint as error:
            report(str(error))
    return None


@contextmanager
def writing_file(path: Path) -> Iterator[Path]:
    """Yield a place for one file; on leaving the block it becomes `path`, atomically. On an error nothing remains."""
    partial = path.with_name(f".tmp-{path.name}")
    try:
        yield partial
        _fsync(partial)
        os.replace(partial, path)
        _fsync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def write_file(path: Path, text: str) -> None:
    """One small file, whole or not at all."""
    with writing_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def remove(path: Path) -> None:
    """Delete a directory so that a crash midway cannot leave one that looks whole: rename first, then delete."""
    doomed = path.parent / f".tmp-{path.name}-removed"
    shutil.rmtree(doomed, ignore_errors=True)
    os.rename(path, doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
