"""The layout of a training run's directory.

A directory that holds run.json is a run, and one that holds train_state.json is a checkpoint,
whatever its name.

    run.json             settings of the run; written before the first step
    chosen_settings.json settings that you left open and that training derived from the model and
                         the data, such as the learning rate; absent if there were none
    checkpoints/step-N   model and training state after N steps
    model                the finished model
"""

from collections.abc import Callable
from pathlib import Path

from chatwright.checkpoint import directory

RUN_FILE = "run.json"
CHOICES_FILE = "chosen_settings.json"
STATE_FILE = "train_state.json"
MODEL = "model"
CHECKPOINTS = "checkpoints"
STEP_PREFIX = "step-"


def is_run(path: Path) -> bool:
    """Return whether `path` is the directory of a training run."""
    return (path / RUN_FILE).is_file()


def is_checkpoint(path: Path) -> bool:
    """Return whether `path` is the checkpoint of a training run."""
    return (path / STATE_FILE).is_file()


def finished_model(run: Path) -> Path:
    """Return the path of the run's finished model, which need not exist yet.

    If a crash interrupted its replacement, this is the previous model.
    """
    return directory.readable_path(run / MODEL)


def checkpoint_path(run: Path, step: int) -> Path:
    """Return the path of the checkpoint after `step` steps. Sorting names sorts them by step."""
    return run / CHECKPOINTS / f"{STEP_PREFIX}{step:08d}"


def step_of(checkpoint: Path) -> int:
    """Return the number of training steps after which a checkpoint was saved."""
    return int(checkpoint.name.removeprefix(STEP_PREFIX))


def checkpoints(run: Path) -> list[Path]:
    """Return the run's checkpoints, oldest first. Some may be damaged."""
    return sorted((run / CHECKPOINTS).glob(f"{STEP_PREFIX}*"))


def newest_checkpoint(run: Path, report: Callable[[str], None] = lambda _: None) -> Path | None:
    """Return the newest undamaged checkpoint, or None; report damaged ones."""
    return directory.newest_valid(run / CHECKPOINTS, f"{STEP_PREFIX}*", report)
