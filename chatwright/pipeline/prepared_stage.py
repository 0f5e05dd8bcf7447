"""A stage with its data, model and settings loaded, ready to run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from chatwright import config as config_files
from chatwright.model.model import Model
from chatwright.pipeline import chosen_settings
from chatwright.pipeline.data_sources import data_source_keys
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.training import learning_rate_finder
from chatwright.training.learning_rate_finder import Sweep
from chatwright.training.loop import train
from chatwright.training.loop_config import LoopConfig
from chatwright.training.report import write_report
from chatwright.training.stage import Stage
from chatwright.training.watcher import Watcher


@dataclass(frozen=True, kw_only=True)
class StageInputs:
    """The inputs of a stage besides its settings."""

    out: Path
    """Directory of the stage."""
    watcher: Watcher
    tokenizer: Tokenizer | None = None
    """The tokenizer of the parent model, or of an earlier stage."""
    parent: Path | None = None
    """The model directory to start from."""
    given: frozenset[str] = frozenset()
    """Dotted keys of the settings that the user or the recipe gave."""

    def require_tokenizer(self) -> Tokenizer:
        """Return the tokenizer, for stages that always get one."""
        assert self.tokenizer is not None, "the pipeline loads a tokenizer before it prepares"
        return self.tokenizer


class PreparedStage(Protocol):
    """A stage that is ready to run."""

    def run(self, out: Path, watcher: Watcher) -> Path:
        """Write the stage's result into `out` and return its directory."""
        ...


@dataclass(frozen=True)
class FileStage:
    """A stage that only writes files, without training a model."""

    write: Callable[[Path, Watcher], Path]

    def run(self, out: Path, watcher: Watcher) -> Path:
        """Write the files."""
        return self.write(out, watcher)


@dataclass(frozen=True, kw_only=True)
class TrainingStage:
    """A stage that trains a model, or searches a learning rate for it."""

    model: Model
    stage: Stage[Any, Any]
    tokenizer: Tokenizer
    loop: LoopConfig
    settings: dict[str, Any]
    """Settings besides the loop's that identify the run; see `identifying_settings`."""
    parent: Path | None = None
    checks: tuple[Callable[[Path], None], ...] = ()
    """Called with the finished run's directory; each raises RunFailed if the result is bad."""
    measure: Callable[[Path, Watcher], None] | None = None
    """Called with the finished run's directory, before its report is written."""
    chosen: Mapping[str, Any] = field(default_factory=dict)
    """Settings that were chosen for model and data, by dotted key."""

    def run(self, out: Path, watcher: Watcher) -> Path:
        """Train, write the report, check the result, and return the model's directory."""
        if self.chosen:
            chosen_settings.save(out, self.chosen)
        finished = train(
            out,
            self.model,
            self.stage,
            self.tokenizer,
            self.loop,
            watcher,
            self.parent,
            self.settings,
        )
        if self.measure:
            self.measure(out, watcher)
        write_report(out)
        for check in self.checks:
            check(out)
        return finished

    def find_learning_rate(self, out: Path) -> Sweep:
        """Search a learning rate and write its curve to `out`. This ruins the model's weights."""
        result = learning_rate_finder.sweep(self.model, self.stage, self.loop)
        learning_rate_finder.write(result, out)
        return result


def identifying_settings(config: Any, model: Model) -> dict[str, Any]:
    """Return the settings besides the loop's whose change makes a finished stage stale.

    The run identifies data and teacher by hashes of their content, so their paths are left out: you
    may move a data directory and resume.
    """
    settings = config_files.to_table(config)
    settings.pop("loop", None)
    # loop.steps and a hash of the texts identify the first two; alarms only stop a run.
    for key in ("passes", "old_texts_bytes", "alarms"):
        settings.pop(key, None)
    for key in data_source_keys(type(config)):
        if settings.get(key):
            settings[key] = "identified by content"
    if settings.get("distillation"):
        settings["distillation"]["teacher"] = "identified by weights"
    return {"stage": settings, "model": config_files.to_table(model.config)}
