"""Run a recipe: skip finished stages, resume interrupted ones, repeat stale ones.

The directory of a stage holds a file `stage.json` with a hash of its inputs and of its settings,
except the settings of logging and saving. A stage is stale if its settings or inputs have changed.
Its directory is then renamed, never deleted, and the stage runs again, as do all later stages that
read its output.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from chatwright.checkpoint import directory, model_directory
from chatwright.checkpoint.lock import writer_lock
from chatwright.errors import InputError
from chatwright.pipeline import model_names
from chatwright.pipeline.content_hash import content_hash, hash_json
from chatwright.pipeline.data_sources import data_source_keys, path_strings
from chatwright.pipeline.expected_curves import curves_for, with_comparison, write_expected
from chatwright.pipeline.prepared_stage import StageInputs
from chatwright.pipeline.recipe import GIVEN_MODEL, PlannedStage, Recipe, fill_in
from chatwright.tokenizer.tokenizer import Tokenizer, load_tokenizer
from chatwright.training.run_settings import flatten
from chatwright.training.watcher import Watcher

STAGE_FILE = "stage.json"


def run_recipe(
    recipe: Recipe, out: Path, data: Path | None, watcher: Watcher, model: Path | None = None
) -> Path:
    """Run every stage that is not finished and return the last stage's directory.

    Args:
        recipe: The stages.
        out: Directory that gets a directory for each stage.
        data: Path that replaces {data} in the recipe.
        watcher: Receives progress and messages.
        model: The model that stages with from = "{model}" start from.
    """
    with writer_lock(out):
        return _RecipeRun(recipe, out, data, watcher, model).run()


class _RecipeRun:
    """One run of a recipe."""

    def __init__(
        self, recipe: Recipe, out: Path, data: Path | None, watcher: Watcher, model: Path | None
    ) -> None:
        self.recipe = recipe
        self.out = out
        self.data = data
        self.watcher = watcher
        self.expected = curves_for(recipe.path, recipe.settings_hash(), watcher)
        self.model = model
        self._stage_names = {stage.name for stage in recipe.stages}

    def run(self) -> Path:
        """Run the stages in order and return the last stage's directory."""
        n_stage = len(self.recipe.stages)
        for number, stage in enumerate(self.recipe.stages, 1):
            self._run_unless_finished(stage, f"[{number}/{n_stage}] {stage.name}")
        return self.out / self.recipe.stages[-1].name

    def _run_unless_finished(self, stage: PlannedStage, title: str) -> None:
        stage_directory = self.out / stage.name
        parent = self._parent(stage)
        config, hashes = self._fill_in(stage)
        hashes |= self._hashes_of_earlier_stages(stage, parent)
        inputs_hash = hash_json([stage.kind.name, stage.identifying_table(), hashes])
        record = {"kind": stage.kind.name, "inputs": inputs_hash}
        if _read_record(stage_directory) == record | {"done": True}:
            self.watcher.say(f"{title}: already finished")
            return
        self._rename_if_stale(stage_directory, inputs_hash)
        self.watcher.say(title)
        stage_directory.mkdir(exist_ok=True)
        _write_record(stage_directory, record | {"done": False})
        inputs = StageInputs(
            out=stage_directory,
            watcher=self.watcher,
            tokenizer=self._tokenizer(stage, parent),
            parent=parent,
            given=frozenset(key for key, _ in flatten(stage.table)),
        )
        prepared = stage.kind.prepare_function()(config, inputs)
        watcher = with_comparison(self.watcher, self.expected, stage.name)
        write_expected(stage_directory, self.expected, stage.name)
        prepared.run(stage_directory, watcher)
        _write_record(stage_directory, record | {"done": True})

    def _parent(self, stage: PlannedStage) -> Path | None:
        """Return the model directory that the stage starts from."""
        if stage.parent == GIVEN_MODEL:
            if self.model is None:
                raise InputError(
                    f"{self.recipe.path}: [{stage.name}] starts from a model, but none was given.",
                    remedy="Give the model's directory with --from DIR.",
                    field="--from",
                )
            return self.model
        if stage.parent in self._stage_names:
            return self.out / stage.parent
        if stage.parent:
            return model_names.model_directory(self._path(stage, "from", stage.parent))
        if stage.kind.needs_parent:
            raise InputError(
                f"{self.recipe.path}: [{stage.name}] needs a model to start from.",
                remedy=(
                    f"Put one of {', '.join(stage.kind.parents)} before it in stages, "
                    "or name a stage with from."
                ),
                field=f"{stage.name}.from",
            )
        return None

    def _fill_in(self, stage: PlannedStage) -> tuple[Any, dict[str, str]]:
        """Return the settings with placeholders replaced, and a hash of the data by setting."""
        changes: dict[str, Any] = {}
        hashes: dict[str, str] = {}
        for key in data_source_keys(type(stage.config)):
            value = getattr(stage.config, key)
            if not value:
                continue
            paths = [self._path(stage, key, text) for text in path_strings(value)]
            contents = [content_hash(Path(path)) for path in paths]
            is_one = isinstance(value, str)
            changes[key] = paths[0] if is_one else tuple(paths)
            hashes[key] = contents[0] if is_one else hash_json(contents)
        distillation = getattr(stage.config, "distillation", None)
        if distillation is not None:
            teacher = self._path(stage, "distillation.teacher", distillation.teacher)
            changes["distillation"] = dataclasses.replace(distillation, teacher=teacher)
            hashes["teacher"] = model_directory.weights_hash(Path(teacher))
        return dataclasses.replace(stage.config, **changes), hashes

    def _path(self, stage: PlannedStage, key: str, text: str) -> str:
        return fill_in(self.recipe, stage, key, text, self.out, self.data)

    def _hashes_of_earlier_stages(self, stage: PlannedStage, parent: Path | None) -> dict[str, str]:
        """Return hashes of the parent model and of the tokenizer that the stage uses."""
        if parent is not None:
            is_given = stage.parent not in self._stage_names
            hash_of = model_directory.weights_hash if is_given else _inputs_hash
            return {"from": hash_of(parent)}
        if stage.kind.trains:
            return {"tokenizer": "|".join(map(_inputs_hash, self._tokenizer_directories()))}
        return {}

    def _tokenizer_directories(self) -> list[Path]:
        return [self.out / s.name for s in self.recipe.stages if s.kind.name == "tokenizer"]

    def _tokenizer(self, stage: PlannedStage, parent: Path | None) -> Tokenizer | None:
        """Load the parent's tokenizer, or that of the recipe's tokenizer stage."""
        if not stage.kind.trains:
            return None
        if parent is not None:
            return load_tokenizer(model_directory.find(parent))
        directories = self._tokenizer_directories()
        if not directories:
            raise InputError(
                f"{self.recipe.path}: [{stage.name}] needs a tokenizer.",
                remedy='Put "tokenizer" before it in stages, or name a model with from.',
                field="stages",
            )
        return load_tokenizer(directories[0] / "tokenizer")

    def _rename_if_stale(self, stage_directory: Path, inputs_hash: str) -> None:
        """Rename a directory that was made from other settings or data."""
        if not stage_directory.exists() or _inputs_hash(stage_directory) == inputs_hash:
            return
        for number in range(1, 10_000):
            renamed = stage_directory.with_name(f"{stage_directory.name}.old-{number}")
            if not renamed.exists():
                break
        stage_directory.rename(renamed)
        self.watcher.say(
            f"{stage_directory.name} was made from other settings or data; "
            f"it is kept as {renamed.name}"
        )


def _read_record(stage_directory: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((stage_directory / STAGE_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _write_record(stage_directory: Path, record: dict[str, Any]) -> None:
    directory.write_text(stage_directory / STAGE_FILE, json.dumps(record))


def _inputs_hash(stage_directory: Path) -> str:
    return str(_read_record(stage_directory).get("inputs", ""))
