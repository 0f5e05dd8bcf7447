"""Remember on this machine which models passed the check of `batch_invariance`.

The whole check takes up to a second, so its result is kept in the user's cache folder, in a file
named after everything that decides it: processor, torch build, threads, our source code, format of
the weights, the model's settings. The values of the weights do not decide it. A small part of the
check runs at every call, so it finds kernels that changed although none of these did.

The folder is `~/.cache/chatwright` on Linux, `~/Library/Caches/chatwright` on macOS and
`chatwright` in %LOCALAPPDATA% on Windows, or the one that CHATWRIGHT_CACHE names. You may delete
it.
"""

import dataclasses
import hashlib
import json
import os
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

from chatwright.devices import environment
from chatwright.engine.batch_invariance import find_difference, find_difference_quickly
from chatwright.engine.forward import Forward
from chatwright.model.linear import products

FOLDER_VARIABLE = "CHATWRIGHT_CACHE"
LONGEST_FILE = 100_000  # bytes
PACKAGE = Path(__file__).parents[1]


def batch_dependence_reason(forward: Forward, checks_again: bool = False) -> str:
    """Return why a reply's bits may depend on other requests in the batch; "" if they do not.

    This is the result of `find_difference`, from the cache folder if it is known.

    Args:
        forward: The prepared model.
        checks_again: Whether to make the whole check although its result is known.
    """
    if difference := find_difference_quickly(forward):
        return difference
    proof = describe_proof(forward)
    path = proof_path(proof)
    known = None if checks_again else _read(path)
    if known is not None:
        return known
    difference = find_difference(forward)
    _write(path, {"difference": difference, "depends_on": proof})
    return difference


def describe_proof(forward: Forward) -> dict[str, object]:
    """List everything that decides the result of the check."""
    return {
        "machine": environment(),
        "torch": torch.__config__.show(),
        "source": source_hash(),
        "dtype": str(forward.model.embedding.weight.dtype),
        "weights": forward.weight_format.name,
        "packed": sorted({type(one.packed).__name__ for *_, one in products(forward.model)}),
        "model": dataclasses.asdict(forward.config),
    }


def proof_path(proof: dict[str, object]) -> Path:
    """Return the file that holds the result of a check."""
    name = hashlib.sha256(json.dumps(proof, sort_keys=True, default=str).encode()).hexdigest()
    return cache_folder() / "batch-invariance" / f"{name}.json"


def cache_folder() -> Path:
    """Return the folder for results that can be computed again."""
    if folder := os.environ.get(FOLDER_VARIABLE):
        return Path(folder)
    # A container's user may have no home folder; then nothing can be written, and nothing is kept.
    home = Path(os.path.expanduser("~").replace("~", os.devnull))
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "chatwright"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "chatwright"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "chatwright"


@cache
def source_hash() -> str:
    """Hash the files of the model and of the engine, whose changes can change bits."""
    digest = hashlib.sha256()
    for package in ("model", "engine"):
        for file in sorted((PACKAGE / package).glob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _read(path: Path) -> str | None:
    """Return the remembered result; None if there is none, or the file is damaged."""
    try:
        if path.stat().st_size > LONGEST_FILE:
            return None
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    difference = content.get("difference") if isinstance(content, dict) else None
    return difference if isinstance(difference, str) else None


def _write(path: Path, content: dict[str, object]) -> None:
    """Write the file at once, or not at all where the folder cannot be written."""
    temporary = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(content, indent=1, default=str), encoding="utf-8")
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
