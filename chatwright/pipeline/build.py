"""Decide what `chatwright up` builds: which recipe, in which folder, from which data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chatwright.commands import command_line, quoted
from chatwright.data.checks.check import check
from chatwright.data.checks.check_report import format_report
from chatwright.data.readers.data_source import DEFAULTS, ReadOptions
from chatwright.errors import InputError
from chatwright.pipeline.open_models.known_models import did_you_mean
from chatwright.pipeline.packaged_recipes import RECIPE, find_recipe, packaged_recipe
from chatwright.pipeline.recipe import Recipe, external_data_paths, read_recipe


@dataclass(frozen=True)
class Build:
    """A recipe, and the paths and names that `chatwright up` needs to run and serve it."""

    recipe: Recipe
    name: str
    """The name of the served model."""
    out: Path
    """The folder that gets a folder for each stage."""
    data: Path | None
    """Path that replaces {data} in the recipe."""
    checks_data: bool
    """Whether `check_data` reads the data: for a folder with a recipe, not for a recipe file."""

    @property
    def trained_stages(self) -> list[tuple[str, int]]:
        """Kind and number of steps of each stage that trains a model that can be served."""
        stages = [
            stage for stage in self.recipe.stages if stage.kind.is_servable and stage.kind.trains
        ]
        return [(stage.kind.name, stage.steps) for stage in stages]

    def require_chat_model(self) -> None:
        """Raise InputError unless the last stage makes a model that can be served."""
        last = self.recipe.stages[-1]
        if last.kind.is_servable:
            return
        options: list[str | Path] = [] if self.data is None else ["--data", self.data]
        command = command_line("run", self.recipe.path, *options)
        raise InputError(
            f"{self.recipe.path}: the last stage, [{last.name}], makes no model to chat with, "
            "so there is nothing to serve.",
            remedy=f"Train the recipe without serving it: {command}",
            field=str(self.recipe.path),
        )

    def check_data(self, show: Callable[[str], None]) -> None:
        """Check the data before anything is built, and report all problems at once.

        Args:
            show: Receives the report of a file or folder with problems.

        Raises:
            InputError: A row cannot be read, or a stage finds no row of the kind it needs.
        """
        if not self.checks_data:
            return
        sources = external_data_paths(self.recipe, self.out, self.data)
        _require_needed_rows(self.recipe, _row_kinds(self.recipe, sources, show))


def plan_build(
    recipe: Path | None = None,
    data: Path | None = None,
    out: Path | None = None,
    smoke: bool = False,
) -> Build:
    """Read the recipe that an argument of `chatwright up` names.

    Args:
        recipe: A folder made by `chatwright new`, a recipe file, or the name of a packaged recipe;
            None is the starter.
        data: Path that replaces {data} in the recipe.
        out: The folder that gets a folder for each stage; None is FOLDER/runs or runs/NAME, with
            -smoke at the end for `smoke`.
        smoke: Train each stage for a few steps only.
    """
    path = packaged_recipe("starter") if recipe is None else find_recipe(recipe)
    if path.name == RECIPE and path.is_file():  # FOLDER/recipe.toml counts as FOLDER
        path = path.parent
    is_folder = path.is_dir() or not (path.exists() or path.suffix == ".toml")
    plan = read_recipe(_recipe_in(path) if is_folder else path, smoke=smoke)
    name = path.resolve().name if is_folder else path.stem
    ending = "-smoke" if smoke else ""
    default_out = path / f"runs{ending}" if is_folder else Path("runs") / (name + ending)
    return Build(plan, name, out or default_out, data, checks_data=is_folder)


def _recipe_in(folder: Path) -> Path:
    """Return the recipe in a folder. The error for a missing one names the command to make one."""
    if (folder / RECIPE).is_file():
        return folder / RECIPE
    if folder.exists():
        problem = f"{folder}: there is no {RECIPE} in this folder."
        advice = "To train on the files in it, create a recipe folder beside it"
        raise InputError(problem, remedy=f"{advice}: {_new_beside(folder)}", field=str(folder))
    is_name = str(folder) == folder.name and not folder.suffix and not folder.name.startswith(".")
    if not is_name:
        raise InputError(
            f"{folder}: there is no such recipe or folder.",
            remedy=f"Check the path, or create a new folder: {command_line('new', 'NAME')}",
            field=str(folder),
        )
    raise InputError(
        f"{folder}: there is no such folder.",
        remedy=f"{did_you_mean(folder.name)}Create it: {command_line('new', folder.name)}",
        field=str(folder),
    )


def _new_beside(folder: Path) -> str:
    """Return the command that creates a recipe folder outside `folder`, which holds the data."""
    current, resolved = Path.cwd(), folder.resolve()
    if not current.is_relative_to(resolved):
        return command_line("new", "NAME", "--data", folder)
    levels = len(current.relative_to(resolved).parts) + 1
    change_directory = f"cd {quoted('/'.join(['..'] * levels))}"
    return f"{change_directory} && {command_line('new', 'NAME', '--data', resolved.name)}"


def _row_kinds(
    recipe: Recipe, sources: Mapping[tuple[str, str], Sequence[Path]], show: Callable[[str], None]
) -> dict[tuple[str, str], set[str]]:
    """Return the kinds of rows in the data of each setting, by (stage, setting).

    If data cannot be read, show the problems and raise InputError.
    """
    configs = {stage.name: stage.config for stage in recipe.stages}
    checked: list[tuple[Path, ReadOptions, set[str]]] = []
    kinds: dict[tuple[str, str], set[str]] = {}
    for (stage, key), paths in sources.items():
        config = configs[stage]
        options = config.read_options if isinstance(config, ReadOptions) else DEFAULTS
        kinds[stage, key] = set()
        for path in paths:
            earlier = [
                result for other, read, result in checked if (other, read) == (path, options)
            ]
            row_kinds = earlier[0] if earlier else _check(path, options, show)
            checked.append((path, options, row_kinds))
            kinds[stage, key] |= row_kinds
    return kinds


def _check(path: Path, options: ReadOptions, show: Callable[[str], None]) -> set[str]:
    """Return the kinds of rows at `path`, or show the problems and raise InputError."""
    report = check(path, options=options)
    if report.problems and not options.skip_bad_rows:
        show(format_report(report))
        raise InputError(
            f"{path}: the problems above would stop the training, so nothing was built.",
            remedy="Correct them and run the same command again.",
            field=str(path),
        )
    return set(report.n_rows) | ({"labeled text"} if report.n_labels else set())


def _require_needed_rows(recipe: Recipe, row_kinds: Mapping[tuple[str, str], set[str]]) -> None:
    kind_of_stage = {stage.name: stage.kind for stage in recipe.stages}
    missing: list[str] = []
    for (stage, key), kinds in row_kinds.items():
        needed = kind_of_stage[stage].rows_read.get(key)
        if needed and needed not in kinds:
            missing.append(f"{key} in [{stage}] finds no {needed} rows")
    if missing:
        raise InputError(
            f"{recipe.path}: {', '.join(missing)}, so nothing was built.",
            remedy=f"Add such rows, or remove those lines from {recipe.path.name}.",
            field=", ".join(missing),
        )
