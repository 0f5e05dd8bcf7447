"""Write a directory so that it is either complete or absent.

The directory is built under a hidden temporary name beside its final path. Every file is synced
to disk, a manifest of SHA-256 sums is written last, and one rename commits the directory. After
a crash, either the old directory or the new one can be read, never a mixture. The cost is one fsync
and one read per file.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from chatwright.durable_file import sync_directory, sync_file
from chatwright.errors import InputError

MANIFEST = "MANIFEST.json"
FORMAT = 1


class BrokenCheckpoint(InputError):
    """A directory whose files do not match its manifest."""


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yield an empty directory to fill; it becomes `path` when the block ends.

    A directory already at `path` stays readable until it is replaced. If the block raises an error,
    the new directory is deleted and `path` is unchanged.

    Raises:
        InputError: The disk is full or the path cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".tmp-{path.name}-{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        _write_manifest(temporary)
        _commit(temporary, path)
    except OSError as error:
        raise InputError(
            f"{path}: could not be saved: {error.strerror or error}. Nothing was changed.",
            remedy="Free some disk space or choose another folder, then run the command again.",
            field="out",
            value=str(path),
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_manifest(temporary: Path) -> None:
    entries = {}
    for file in sorted(p for p in temporary.iterdir() if p.is_file()):
        sync_file(file)
        entries[file.name] = {"size": file.stat().st_size, "sha256": sha256(file)}
    manifest = temporary / MANIFEST
    table = {"format": FORMAT, "files": entries}
    manifest.write_text(json.dumps(table, indent=1), encoding="utf-8", newline="\n")
    sync_file(manifest)
    sync_directory(temporary)


def _commit(temporary: Path, path: Path) -> None:
    if not path.exists():
        os.rename(temporary, path)
        sync_directory(path.parent)
        return
    # A rename cannot replace a directory that holds files. The old directory is first renamed to a
    # name that `recover` and `readable_path` know.
    previous = _previous(path)
    shutil.rmtree(previous, ignore_errors=True)
    os.rename(path, previous)
    os.rename(temporary, path)
    sync_directory(path.parent)
    shutil.rmtree(previous, ignore_errors=True)


def _previous(path: Path) -> Path:
    return path.parent / f".old-{path.name}"


def readable_path(path: Path) -> Path:
    """Return `path`, or its previous version if a crash left nothing at `path`.

    This happens if a replacement is interrupted between its two renames.
    """
    previous = _previous(path)
    return previous if not path.exists() and previous.exists() else path


def recover(parent: Path) -> None:
    """Clean up `parent` after a crash: delete unfinished directories, restore interrupted ones.

    Call this only while holding the writer lock of `parent`. Otherwise it deletes directories that
    another process is writing.
    """
    if not parent.is_dir():
        return
    for leftover in parent.glob(".tmp-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    for previous in parent.glob(".old-*"):
        path = parent / previous.name.removeprefix(".old-")
        if path.exists():
            shutil.rmtree(previous, ignore_errors=True)
        else:
            os.rename(previous, path)


def verify(path: Path) -> None:
    """Check that every file in the manifest has the size and the SHA-256 sum stated there.

    Raises:
        BrokenCheckpoint: A file differs, or the manifest is missing or unreadable.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text("utf-8"))
        files = manifest["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _broken(
            path / MANIFEST,
            f"cannot be read ({error.__class__.__name__}): the save did not finish, or this "
            "directory is not a checkpoint.",
        ) from None
    for name, entry in files.items():
        file = path / name
        if not file.is_file() or file.stat().st_size != entry["size"]:
            raise _broken(file, f"is missing or not {entry['size']} bytes long.")
        if sha256(file) != entry["sha256"]:
            raise _broken(file, "has changed since it was saved (its SHA-256 sum differs).")


def _broken(file: Path, problem: str) -> BrokenCheckpoint:
    return BrokenCheckpoint(
        f"{file}: {problem}",
        remedy="The checkpoint is damaged; use another checkpoint of the same run.",
        field=file.name,
        value=str(file),
    )


def newest_valid(
    parent: Path, pattern: str, report: Callable[[str], None] = lambda _: None
) -> Path | None:
    """Return the last directory in name order that passes `verify`; report damaged ones."""
    for path in sorted(parent.glob(pattern), reverse=True) if parent.is_dir() else []:
        try:
            verify(path)
            return path
        except BrokenCheckpoint as error:
            report(str(error))
    return None


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path for one file; it becomes `path` when the block ends without error."""
    temporary = path.with_name(f".tmp-{path.name}")
    try:
        yield temporary
        sync_file(temporary)
        os.replace(temporary, path)
        sync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a small UTF-8 file completely or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def remove(path: Path) -> None:
    """Delete a directory without leaving a partial one at `path`: rename first, then delete."""
    temporary = path.parent / f".tmp-{path.name}-removed"
    shutil.rmtree(temporary, ignore_errors=True)
    os.rename(path, temporary)
    shutil.rmtree(temporary, ignore_errors=True)


def relative_path(path: Path, start: Path) -> str:
    """Return `path` relative to `start`, so that a folder that holds both can be moved."""
    try:
        return Path(os.path.relpath(path.resolve(), start.resolve())).as_posix()
    except ValueError:  # on Windows there is no path from one drive to another
        return str(path)


def sha256(file: Path) -> str:
    """Return the SHA-256 sum of a file as hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
