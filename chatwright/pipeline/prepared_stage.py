"""A stage that is ready: model, data and settings put together, and nothing trained yet. It can be trained, or its learning rate looked for."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwright import config as config_files
from chatwright.model.model import Model
from chatwright.pipeline.stage_configs import DATA_SOURCE_KEYS
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.training import learning_rate_finder
from chatwright.training.learning_rate_finder import Sweep
from chatwright.training.loop import train
from chatwright.training.report import write_report
from chatwright.training.stage import Stage
from chatwright.training.watcher import Watcher


@dataclass(frozen=True)
class Prepared:
    model: Model
    stage: Stage[Any, Any]
    tokenizer: Tokenizer
    config: Any  # of the stage's kind
    parent: Path | None
    checks: tuple[
        Callable[[Path], None], ...
    ] = ()  # of the finished run; RunFailed where it is not what was asked for

    def train(self, out: Path, watcher: Watcher) -> Path:
        """Returns the finished model's directory."""
        finished = train(
            out,
            self.model,
            self.stage,
            self.tokenizer,
            self.config.loop,
            watcher,
            self.parent,
            self._resolved(),
        )
        write_report(out)
        for check in self.checks:
            check(out)
        return finished

    def find_learning_rate(self, out: Path) -> Sweep:
        """Leaves the curve in `out`, and a model that is worth nothing."""
        found = learning_rate_finder.sweep(self.model, self.stage, self.config.loop)
        learning_rate_finder.write(found, out)
        return found

    def _resolved(self) -> dict[str, Any]:
        """What the run is, beside its loop's settings. Where data and teacher lie is no part of it: a folder may be moved, or named from
        elsewhere, and its build goes on."""
        settings = {
            name: value
            for name, value in config_files.to_table(self.config).items()
            if name != "loop"
        }
        settings |= {
            source: "by content, below" for source in DATA_SOURCE_KEYS if settings.get(source)
        }
        if settings.get("distillation"):
            settings["distillation"]["teacher"] = "by its weights, below"
        return {"stage": settings, "model": config_files.to_table(self.model.config)}
