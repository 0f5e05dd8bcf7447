"""Where the weights of a model come from: trained here from random numbers, or imported.

Training that continues from imported weights needs smaller learning rates than training that
continues from weights of our own optimizers. The origin decides, so it is written into every model
directory and every checkpoint, and passed on to models trained, merged or grown from it.
"""

from pathlib import Path
from typing import Any, Literal

from chatwright.checkpoint import adapter_directory, json_file, model_directory
from chatwright.tokenizer.imported_settings import SETTINGS_FILE

Origin = Literal["trained", "imported"]
ORIGIN = "origin"
"""Key of the origin in training.json."""


def origin_of(path: Path) -> Origin:
    """Return the origin of the model in a model directory, or in the directory of a run.

    The origin of an adapter is that of its base. Directories of earlier versions do not name an
    origin. Then an import record, a run without a parent, or else an imported tokenizer decides.
    """
    path = model_directory.find(path)
    notes = _notes(path)
    recorded = notes.get(ORIGIN)
    if recorded == "imported" or "imported_from" in notes:
        return "imported"
    if recorded == "trained":
        return "trained"
    if adapter_directory.is_adapter(path):
        return origin_of(adapter_directory.read(path).base.path)
    if "stage" in notes and notes.get("parent") is None:
        return "trained"
    return "imported" if (path / SETTINGS_FILE).is_file() else "trained"


def origin_after(parent: Path | None) -> Origin:
    """Return the origin of a model that is trained from `parent`, or from random weights."""
    return "trained" if parent is None else origin_of(parent)


def _notes(path: Path) -> dict[str, Any]:
    file = path / model_directory.TRAINING_FILE
    return json_file.read_object(file) if file.is_file() else {}
