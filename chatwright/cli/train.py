"""`chatwright run RECIPE`, and one stage at a time: `chatwright train KIND`.

The verbs of `chatwright train` are made from the records in `pipeline/stage_kinds.py`.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatwright.cli.options import (
    Columns,
    Encoding,
    ProgressAsJson,
    RecipeData,
    RecipeSettings,
    Smoke,
    TrainingSettings,
    named_model,
    read_options,
)
from chatwright.pipeline.stage_kinds import STAGE_KINDS, StageKind

if TYPE_CHECKING:  # torch takes seconds to load, and --help does not need it
    from chatwright.pipeline.prepared_stage import TrainingStage

TRAINED_KINDS = [kind for kind in STAGE_KINDS if kind.trains]

app = typer.Typer(
    no_args_is_help=True,
    help=f"Train one stage: {', '.join(kind.name for kind in TRAINED_KINDS)}.",
)

FindRate = Annotated[
    bool,
    typer.Option(
        "--find-learning-rate",
        help="Do not train: try growing learning rates for about a hundred steps, suggest one, "
        "and write the curve to the --out directory.",
    ),
]


def run(
    recipe: Annotated[
        Path, typer.Argument(help="A recipe file, or the name of a packaged recipe: own-data.")
    ],
    settings: RecipeSettings = None,
    data: RecipeData = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help='The model to start from, where the recipe says from = "{model}".',
            callback=named_model,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The directory of the stages; by default runs/RECIPE."),
    ] = None,
    smoke: Smoke = False,
    as_json: ProgressAsJson = False,
) -> None:
    """Run the stages of a recipe.

    Finished stages are skipped, an interrupted one is resumed, and those whose data or settings
    changed run again.
    """
    from chatwright.cli.progress import terminal_watcher
    from chatwright.pipeline.packaged_recipes import find_recipe

    recipe = find_recipe(recipe)
    directory = out or Path("runs") / (recipe.stem + ("-smoke" if smoke else ""))
    if _states_rounds(recipe):
        _run_loop(recipe, settings or [], model, data, as_json)
        return
    with terminal_watcher(as_json=as_json) as watcher:  # shows something while torch is loaded
        from chatwright.pipeline.closing_note import recipe_note
        from chatwright.pipeline.recipe import read_recipe
        from chatwright.pipeline.run_recipe import run_recipe

        plan = read_recipe(recipe, settings or [], smoke)
        last = run_recipe(plan, directory, data, watcher, model)
    suggestion = plan.stages[-1].kind.suggestion(last)
    print(" ".join(filter(None, [f"done: {last}.", recipe_note(plan, directory), suggestion])))


def _states_rounds(recipe: Path) -> bool:
    from chatwright.config import read_toml

    return "rounds" in read_toml(recipe)


def _run_loop(
    recipe: Path, settings: list[str], model: Path | None, data: Path | None, as_json: bool
) -> None:
    """Run a recipe with rounds of feedback; `model` is the model to improve."""
    from chatwright.cli.progress import terminal_watcher
    from chatwright.errors import InputError

    if model is None:
        raise InputError(
            f"{recipe}: the rounds improve a model, but none was given.",
            remedy="Give it with --from, for example --from runs/starter.",
            field="--from",
        )
    with terminal_watcher(as_json=as_json) as watcher:
        from chatwright.pipeline.improve.loop import run_loop

        report = run_loop(recipe, settings, model, data, watcher)
    print(f"done: {report}.")


def _verb(kind: StageKind) -> Callable[..., None]:
    """Make the verb `chatwright train KIND`."""

    def verb(**options: Any) -> None:
        del options["help_settings"]  # its callback has printed the settings and ended the program
        _train(kind, **options)

    parameters = _parameters(kind)
    verb.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    verb.__annotations__ = {p.name: p.annotation for p in parameters}
    verb.__doc__ = kind.summary
    return verb


def _parameters(kind: StageKind) -> list[inspect.Parameter]:
    """Return the arguments and options of a kind's verb."""

    def parameter(
        name: str, annotation: Any, default: Any = inspect.Parameter.empty
    ) -> inspect.Parameter:
        only_by_name = inspect.Parameter.KEYWORD_ONLY
        return inspect.Parameter(name, only_by_name, default=default, annotation=annotation)

    data = Annotated[str, typer.Option("--data", help=kind.data_help)]
    out_help = f"The directory of the run; by default runs/{kind.name}."
    out = Annotated[Path | None, typer.Option("--out", help=out_help)]
    parameters = [
        parameter("settings", TrainingSettings, None),
        parameter("data", data),
        parameter("out", out, None),
        _parent_parameter(kind, parameter),
    ]
    if kind.target_help:
        target = Annotated[str, typer.Option("--target", help=kind.target_help)]
        parameters.append(parameter("target", target, ""))
    if kind.vocabulary:
        size = Annotated[int, typer.Option("--vocab-size", help="Size of the learned vocabulary.")]
        parameters.append(parameter("vocab_size", size, kind.vocabulary.size))
    parameters += [
        parameter("encoding", Encoding, ""),
        parameter("columns", Columns, ""),
        parameter("smoke", Smoke, False),
        parameter("find_learning_rate", FindRate, False),
        parameter("as_json", ProgressAsJson, False),
        parameter("help_settings", _help_settings(kind), False),
    ]
    return parameters


def _parent_parameter(
    kind: StageKind, parameter: Callable[..., inspect.Parameter]
) -> inspect.Parameter:
    if kind.needs_parent:
        option = typer.Option("--from", help=kind.parent_help, callback=named_model)
        required = Annotated[Path, option]
        return parameter("parent", required)
    without = " Without it, a vocabulary is learned from the data first." if kind.vocabulary else ""
    option = typer.Option("--from", help=kind.parent_help + without, callback=named_model)
    return parameter("parent", Annotated[Path | None, option], None)


def _help_settings(kind: StageKind) -> Any:
    """Return the option that prints the settings, before required options are asked for."""

    def print_and_exit(is_given: bool) -> None:
        if is_given:
            print_settings(kind)
            raise typer.Exit

    return Annotated[
        bool,
        typer.Option(
            "--help-settings",
            help="List every setting with its default and meaning, and exit.",
            is_eager=True,
            callback=print_and_exit,
        ),
    ]


def print_settings(kind: StageKind) -> None:
    """Print every setting of a kind with its default, type and meaning."""
    from chatwright.config import settings_of

    print(f"Settings of {kind.name}. On the command line, write KEY=VALUE after the options;")
    print(f"in a recipe, write KEY = VALUE below [{kind.name}].\n")
    for setting in settings_of(kind.config_class()):
        print(f"{setting.key} = {setting.default}   ({setting.type})")
        print(f"    {setting.meaning}")


def _train(
    kind: StageKind,
    *,
    settings: list[str] | None,
    data: str,
    out: Path | None,
    parent: Path | None,
    encoding: str,
    columns: str,
    smoke: bool,
    find_learning_rate: bool,
    as_json: bool,
    target: str = "",
    vocab_size: int | None = None,
) -> None:
    """Prepare and run one stage."""
    from chatwright.cli.progress import terminal_watcher

    out = out or Path("runs") / (kind.name + ("-smoke" if smoke else ""))
    with terminal_watcher(as_json=as_json) as watcher:  # shows something while torch is loaded
        from chatwright.pipeline.closing_note import closing_note
        from chatwright.pipeline.prepare_stage import StageOptions, prepare_stage

        options = StageOptions(
            data=data,
            out=out,
            overrides=settings or [],
            reading=read_options(encoding, columns),
            target=target,
            parent=parent,
            vocab_size=vocab_size,
            smoke=smoke,
        )
        prepared = prepare_stage(kind, options, watcher)
        if find_learning_rate:
            _find_learning_rate(prepared, out)
            return
        prepared.run(out, watcher)
    parts = [f"done: {out}.", closing_note([out]), f"See {out / 'report.html'}."]
    print(" ".join(filter(None, [*parts, kind.suggestion(out)])))


def _find_learning_rate(prepared: "TrainingStage", out: Path) -> None:
    """Search a learning rate and print the curve and the suggestion."""
    result = prepared.find_learning_rate(out)
    n_point = len(result.factors)
    print(f"{'factor':>10} {'loss':>8}")
    for number in range(0, n_point, max(1, n_point // 15)):
        print(f"{result.factors[number]:10.4f} {result.smoothed[number]:8.4f}")
    if result.smoothed[-1] == min(result.smoothed):
        print("The loss was still falling at the end, so a higher rate may be even better.")
    print(f"suggested: {result.suggested:.2g} times these settings")
    print(f"curve: {out / 'learning-rate.html'}")
    print(
        f"Train with the same command, without --find-learning-rate and with: {result.overrides()}"
    )


for _kind in TRAINED_KINDS:
    app.command(_kind.name)(_verb(_kind))
