"""A recipe: stages in order, described by one TOML file.

    stages = ["tokenizer", "pretrain", "sft"]
    [pretrain]
    data = "{data}/books"     # {data}: the option --data; {stage}: an earlier stage's directory;
                              # {here}: the directory of the recipe
    from = "{model}"          # a stage's name, or the model given by the option --from

`run_recipe.py` runs it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwright import config as config_files
from chatwright.errors import InputError
from chatwright.pipeline.content_hash import hash_json
from chatwright.pipeline.data_sources import data_source_keys, path_strings
from chatwright.pipeline.stage_kinds import StageKind, stage_kind
from chatwright.training.loop_config import without_bookkeeping

GIVEN_MODEL = "{model}"
"""In `from`: the model given by the option --from."""
SMOKE_LOOP = {"steps": 20, "warmup": 2, "log_every": 5, "evaluate_every": 10, "save_every": 10}
"""Loop settings of --smoke, a short run to test that everything works."""
SMOKE_STARTER_SIZE = 0.1
"""Size of the starter corpus with --smoke; 1.0 is the whole corpus."""


@dataclass(frozen=True)
class PlannedStage:
    """One stage of a recipe, with checked settings."""

    name: str
    """Name in the recipe; also the name of the stage's directory."""
    kind: StageKind
    config: Any
    """Settings whose placeholders, such as {data} and {here}, are not replaced yet."""
    table: dict[str, Any]
    """The settings as in the recipe and its overrides, without defaults, for the hash."""
    parent: str
    """The stage whose model this one starts from, or GIVEN_MODEL; "" for none."""

    @property
    def steps(self) -> int:
        """Optimizer steps of a stage that trains."""
        return int(self.config.loop.steps)

    @property
    def learns_to_converse(self) -> bool:
        """Whether the stage reads conversations, so that its model can reply."""
        keys = [key for key, row in self.kind.rows_read.items() if row == "conversation"]
        return self.kind.is_servable and any(getattr(self.config, key) for key in keys)

    def identifying_table(self) -> dict[str, Any]:
        """Return `table` without the settings of logging and saving."""
        if "loop" not in self.table:
            return self.table
        return self.table | {"loop": without_bookkeeping(self.table["loop"])}


@dataclass(frozen=True)
class Recipe:
    """The stages of a recipe in order."""

    path: Path
    stages: tuple[PlannedStage, ...]

    def settings_hash(self) -> str:
        """Return a hash of every stage's name, kind and settings."""
        return hash_json(
            [[stage.name, stage.kind.name, stage.identifying_table()] for stage in self.stages]
        )


def read_recipe(path: Path, overrides: Iterable[str] = (), smoke: bool = False) -> Recipe:
    """Read and check a recipe before anything runs.

    Args:
        path: The TOML file.
        overrides: Settings as "stage.key=value".
        smoke: Train 20 steps per stage.

    Raises:
        InputError: A stage or a setting is wrong. The error names file, section, key and value.
    """
    table = config_files.merge(
        config_files.read_toml(path), config_files.parse_overrides(overrides)
    )
    return plan_recipe(table, path, smoke)


def plan_recipe(table: dict[str, Any], path: Path, smoke: bool = False) -> Recipe:
    """Check the table of a recipe.

    Args:
        table: The contents of the file.
        path: The file, for error messages and {here}; it need not exist.
        smoke: Train 20 steps per stage.

    Raises:
        InputError: A stage or a setting is wrong. The error names file, section, key and value.
    """
    table = dict(table)
    names = _stage_names(table.pop("stages", None), path)
    table.pop("about", None)
    unknown = sorted(table.keys() - set(names))
    if unknown:
        raise InputError(
            f"{path}: [{unknown[0]}] is not a stage of this recipe; stages = {names}.",
            remedy=(
                "Write settings of a stage as STAGE.KEY, for example "
                f"{names[-1]}.{unknown[0]}=..., "
                "or add the stage to stages."
            ),
            field=unknown[0],
            value=table[unknown[0]],
        )
    planned: list[PlannedStage] = []
    for name in names:
        planned.append(_plan(name, dict(table.get(name, {})), planned, path, smoke))
    return Recipe(path, tuple(planned))


def _stage_names(names: Any, path: Path) -> list[str]:
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        return names
    raise InputError(
        f"{path}: stages must be a list of stage names, but it is {names!r}.",
        remedy='Write for example stages = ["tokenizer", "pretrain", "sft"].',
        field="stages",
        value=names,
    )


def _plan(
    name: str, table: dict[str, Any], earlier: list[PlannedStage], path: Path, smoke: bool
) -> PlannedStage:
    """Check the settings of one stage."""
    kind = stage_kind(table.pop("kind", name), f"{path}: [{name}]")
    parents = [stage.name for stage in earlier if stage.kind.name in kind.parents]
    parent = table.pop("from", parents[-1] if parents else "")
    if smoke and kind.trains:
        table = config_files.merge(table, {"loop": SMOKE_LOOP})
    if smoke and kind.name == "starter":
        table = config_files.merge(table, {"size": SMOKE_STARTER_SIZE})
    source = f"{path}: [{name}]"
    table = config_files.rename_old_keys(kind.config_class(), table, source)
    config = config_files.build(kind.config_class(), table, source)
    return PlannedStage(name, kind, config, table, parent)


def fill_in(
    recipe: Recipe, stage: PlannedStage, key: str, text: str, out: Path, data: Path | None
) -> str:
    """Replace {data}, {here} and names of stages in braces by paths, in the setting's value `text`.

    Raises:
        InputError: `text` holds an unknown placeholder.
    """
    paths = {"here": str(recipe.path.parent)} | {s.name: str(out / s.name) for s in recipe.stages}
    if data is not None:
        paths["data"] = str(data)
    try:
        return text.format_map(paths)
    except KeyError as missing:
        name = missing.args[0]
    remedy = f"Known names are {', '.join(paths)}."
    if name == "data":
        remedy = "Give it with --data PATH."
    raise InputError(
        f"{recipe.path}: [{stage.name}] {key} = {text!r} needs {{{name}}}.",
        remedy=remedy,
        field=f"{stage.name}.{key}",
        value=text,
    )


def external_data_paths(
    recipe: Recipe, out: Path, data: Path | None
) -> dict[tuple[str, str], list[Path]]:
    """Return the paths of data that no stage of the recipe writes, by (stage, setting)."""
    placeholders_of_stages = ["{" + stage.name + "}" for stage in recipe.stages]
    external: dict[tuple[str, str], list[Path]] = {}
    for stage in recipe.stages:
        for key in data_source_keys(type(stage.config)):
            paths = [
                Path(fill_in(recipe, stage, key, text, out, data))
                for text in path_strings(getattr(stage.config, key))
                if not any(placeholder in text for placeholder in placeholders_of_stages)
            ]
            if paths:
                external[stage.name, key] = paths
    return external
