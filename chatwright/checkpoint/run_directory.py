"""Find the model that a training run has written.

A run directory is recognized by its run.json, not by its name or the names inside it:

    run.json        settings of the run; written before the first step
    checkpoints/    one directory for each saved step
    model/          the finished model
"""

from pathlib import Path

from chatwright.checkpoint import directory

RUN_FILE = "run.json"
MODEL = "model"
CHECKPOINTS = "checkpoints"
CHECKPOINT_PATTERN = "step-*"


def is_run(path: Path) -> bool:
    """Return whether `path` is the directory of a training run."""
    return (path / RUN_FILE).is_file()


def finished_model(run: Path) -> Path:
    """Return the path of the run's finished model, which need not exist yet."""
    return directory.readable_path(run / MODEL)


def newest_checkpoint(run: Path) -> Path | None:
    """Return the newest undamaged checkpoint of a run, or None."""
    return directory.newest_valid(run / CHECKPOINTS, CHECKPOINT_PATTERN)
