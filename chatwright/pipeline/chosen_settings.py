"""Settings that a stage chooses for its model and data, where the user gives none.

A setting in a recipe or on the command line always wins. The choices are stored in the directory of
the run, because they may depend on the machine: a resumed run takes the stored ones, so that its
settings equal those it began with.
"""

import dataclasses
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from chatwright.checkpoint import directory, json_file, run_directory

Config = TypeVar("Config")


@dataclass
class ChosenSettings:
    """The choices of one run."""

    given: Collection[str] = ()
    """Dotted keys that the user gave; they are never chosen."""
    stored: Mapping[str, Any] = field(default_factory=dict)
    """Choices of the interrupted run that this one resumes; they replace new ones."""
    chosen: dict[str, Any] = field(default_factory=dict)
    """The choices so far, by dotted key."""

    def apply(self, config: Config, wanted: Mapping[str, Any]) -> Config:
        """Return `config` with the wanted values of all settings that the user did not give."""
        chosen = {
            key: self.stored.get(key, value)
            for key, value in wanted.items()
            if key not in self.given
        }
        self.chosen |= chosen
        return replace_keys(config, chosen)

    def describe(self) -> str:
        """Return the choices as the user would write them: "loop.steps=36 batches.rows=2"."""
        return " ".join(f"{key}={value}" for key, value in self.chosen.items())


def choices_of(run: Path, given: Collection[str]) -> ChosenSettings:
    """Return the choices for the run in a directory: the stored ones if the run can be resumed."""
    file = run / run_directory.CHOICES_FILE
    is_resumed = file.is_file() and run_directory.newest_checkpoint(run) is not None
    return ChosenSettings(given, json_file.read_object(file) if is_resumed else {})


def save(run: Path, chosen: Mapping[str, Any]) -> None:
    """Write the choices into the directory of a run."""
    run.mkdir(parents=True, exist_ok=True)
    directory.write_text(run / run_directory.CHOICES_FILE, json.dumps(chosen, indent=1))


def replace_keys(config: Config, values: Mapping[str, Any]) -> Config:
    """Return a dataclass with new values for dotted keys, such as "loop.optimizer.kind"."""
    changes: dict[str, Any] = {}
    nested: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        section, _, rest = key.partition(".")
        if rest:
            nested.setdefault(section, {})[rest] = value
        else:
            changes[key] = value
    for section, inner in nested.items():
        changes[section] = replace_keys(getattr(config, section), inner)
    return dataclasses.replace(config, **changes)  # type: ignore[type-var]
