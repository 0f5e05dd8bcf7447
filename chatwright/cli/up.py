"""chatwright up: build the first model before a person's eyes, then serve it. A second call serves at once."""

import sys
import threading
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from chatwright.cli.progress import stop_on_signal, terminal
from chatwright.commands import quoted
from chatwright.pipeline.own_recipe import RECIPE
from chatwright.pipeline.recipe import (
    Recipe,
    newest_servable_checkpoint,
    outside_data,
    packaged_recipe,
    read_recipe,
    recipe_called,
    run_recipe,
    servable_checkpoint,
)

SPEAKING = ("pretrain", "sft")  # kinds of stage that leave what can be talked to
# What kind of row a stage needs at least one of in the places that its key names.
ROWS_READ = {
    ("pretrain", "data"): "text",
    ("pretrain", "chat"): "conversation",
    ("sft", "data"): "conversation",
    ("sft", "texts"): "text",
}


def up(
    recipe: Annotated[
        Path | None,
        typer.Argument(
            help="A folder made by chatwright new, a recipe file, or the name of one that ships "
            "(starter-large); without one, the starter."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="File or folder that {data} in the recipe stands for."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Where the model is built; default FOLDER/runs, or runs/<recipe name>."
        ),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", help="Port on 127.0.0.1; 0 takes any free one.")
    ] = 8000,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="20 steps a stage: to see that everything works.")
    ] = False,
    build_only: Annotated[
        bool, typer.Option("--build-only", help="Build and stop, without serving.")
    ] = False,
) -> None:
    """Build the starter model (ten minutes to an hour, shown as it goes), or your own, and serve it with a page to talk to it."""
    recipe = packaged_recipe("starter") if recipe is None else recipe_called(recipe)
    if (
        recipe.name == RECIPE and recipe.is_file()
    ):  # of a folder of one's own: the same as the folder
        recipe = recipe.parent
    is_folder = recipe.is_dir() or not (recipe.exists() or recipe.suffix == ".toml")
    plan = read_recipe(_recipe_in(recipe) if is_folder else recipe, smoke=smoke)
    if not build_only and plan.stages[-1].kind not in SPEAKING:
        raise ValueError(
            f"{recipe}: ends in a model that nobody can talk to ([{plan.stages[-1].name}]), so there is nothing to serve. "
            f"Build it: chatwright run {quoted(str(plan.path))}{'' if data is None else f' --data {quoted(str(data))}'}"
        )
    name, ending = recipe.resolve().name if is_folder else recipe.stem, "-smoke" if smoke else ""
    where = out or (recipe / f"runs{ending}" if is_folder else Path("runs") / (name + ending))
    if is_folder:
        _check_data(plan, outside_data(plan, where, data))
    if build_only:
        with terminal() as watcher:
            last = run_recipe(plan, where, data, watcher)
        print(f"built: {last}. Talk to it: chatwright chat {quoted(str(last))}")
        return
    _build_and_serve(plan, name, where, data, port)


def _recipe_in(folder: Path) -> Path:
    found = folder / RECIPE
    if found.is_file():
        return found
    if folder.exists():
        here, resolved = Path.cwd(), folder.resolve()
        above, there = "", str(folder)
        if here.is_relative_to(resolved):  # the new folder must not lie inside the data
            levels = len(here.relative_to(resolved).parts) + 1
            above, there = f"cd {'/'.join(['..'] * levels)} && ", resolved.name
        raise ValueError(
            f"{folder}: no {RECIPE} in it. To learn from the files in it, make a folder beside it: "
            f"{above}chatwright new NAME --data {quoted(there)}"
        )
    if (
        str(folder) != folder.name or folder.suffix or folder.name.startswith(".")
    ):  # a path, a file, or what `new` would not take
        raise ValueError(
            f"{folder}: no such recipe or folder. Check the path, or make a folder of your own: chatwright new NAME"
        )
    raise ValueError(f"{folder}: no such folder. Make it: chatwright new {quoted(folder.name)}")


def _check_data(plan: Recipe, read: dict[tuple[str, str], list[Path]]) -> None:
    """Everything training would stumble over, all at once and before anything is built. `read` says by stage and key from where."""
    from chatwright.data.check import check, format_report

    kinds: dict[Path, set[str]] = {}
    for place in dict.fromkeys(chain(*read.values())):
        report = check(place)
        if report.problems:
            print(format_report(report), file=sys.stderr)
            raise ValueError(
                f"{place}: the problems above would stop the training, so nothing was built. Mend them and give the command again."
            )
        kinds[place] = set(report.n_rows)
    stage_kinds = {stage.name: stage.kind for stage in plan.stages}
    lacking = [
        f"{key} in [{stage}] names no {wanted}s"
        for (stage, key), places in read.items()
        if (wanted := ROWS_READ.get((stage_kinds[stage], key)))
        and not any(wanted in kinds[place] for place in places)
    ]
    if lacking:
        raise ValueError(
            f"{plan.path}: {', '.join(lacking)}, so nothing was built. Put some there, or take those lines out of {plan.path.name}."
        )


def _build_and_serve(plan: Recipe, name: str, where: Path, data: Path | None, port: int) -> None:
    """The page is there at once and shows the build; every checkpoint that can converse takes the last one's place, the finished model in the end."""
    from chatwright.cli.load_model import open_assistant
    from chatwright.server.app import serve_beside
    from chatwright.server.build_status import BuildStatus
    from chatwright.training.checks import RunFailed

    board = BuildStatus(
        [(stage.kind, stage.steps) for stage in plan.stages if stage.kind in SPEAKING]
    )
    with serve_beside(name, port, status=board.status) as (service, address):
        print(f"the page is at {address}")

        def publish(checkpoint: Path) -> None:
            if called := servable_checkpoint(plan, where, checkpoint):
                service.publish(open_assistant(checkpoint), name, called)

        if earlier := newest_servable_checkpoint(
            plan, where
        ):  # of a build that was stopped: it answers while the build goes on
            publish(earlier)
        with terminal(
            board.progress,
            saved=publish,
            also_warn=board.warned,
            left_in_all=lambda: board.status().seconds_left,
        ) as watcher:
            try:
                last = run_recipe(plan, where, data, watcher)
            except (ValueError, RunFailed) as error:
                board.failed(str(error))
                if sys.stdin.isatty():  # a person is there: the page goes on saying why, and earlier models go on answering
                    print(f"the build stopped: {error}\nThe page at {address} stays until Ctrl-C.")
                    _wait_for_the_end()
                raise
        service.publish(open_assistant(last), name)
        board.ready()
        print(
            f"ready: talk to it at {address}, or in the terminal: chatwright chat {quoted(str(last))}   (Ctrl-C stops)"
        )
        _wait_for_the_end()


def _wait_for_the_end() -> None:
    with stop_on_signal("stopping") as should_stop:
        while not should_stop():
            threading.Event().wait(0.2)
