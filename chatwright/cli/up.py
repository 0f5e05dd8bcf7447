"""chatwright up: build the first model before a person's eyes, then serve it. A second call serves at once."""

import threading
from pathlib import Path
from typing import Annotated, Optional

import typer

from chatwright.cli.watching import stop_on_signal, terminal
from chatwright.pipeline.recipe import Recipe, packaged_recipe, read_recipe, run_recipe


def up(recipe: Annotated[Optional[Path], typer.Argument(help="The recipe to build; without one, the starter inside the package.")] = None,
       data: Annotated[Optional[Path], typer.Option("--data", help="File or folder that {data} in the recipe stands for.")] = None,
       out: Annotated[Optional[Path], typer.Option("--out", help="Where the model is built; default runs/<recipe name>.")] = None,
       port: Annotated[int, typer.Option("--port", help="Port on 127.0.0.1; 0 takes any free one.")] = 8000,
       smoke: Annotated[bool, typer.Option("--smoke", help="20 steps a stage: to see that everything works.")] = False,
       build_only: Annotated[bool, typer.Option("--build-only", help="Build and stop, without serving.")] = False) -> None:
    """Build the starter model (about ten minutes, shown as it goes) and serve it with a page to talk to it."""
    recipe = recipe or packaged_recipe("starter")
    plan = read_recipe(recipe, smoke=smoke)
    where = out or Path("runs") / (recipe.stem + ("-smoke" if smoke else ""))
    if build_only:
        with terminal() as watcher:
            last = run_recipe(plan, where, data, watcher)
        print(f"built: {last}. Talk to it: chatwright chat {last}")
        return
    _build_and_serve(plan, where, data, port)


def _build_and_serve(plan: Recipe, where: Path, data: Path | None, port: int) -> None:
    """The page is there at once and shows the build; the model takes its place on it when it is ready."""
    from chatwright.cli.opening import open_assistant
    from chatwright.server.app import serve_beside
    from chatwright.server.build_status import BuildStatus
    board = BuildStatus([stage.name for stage in plan.stages if stage.kind in ("pretrain", "sft")])
    with serve_beside(plan.path.stem, port, status=board.status) as (service, address):
        print(f"the page is at {address}")
        with terminal(board.progress) as watcher:
            try:
                last = run_recipe(plan, where, data, watcher)
            except Exception as error:
                board.failed(str(error))
                raise
        service.publish(open_assistant(last), plan.path.stem)
        board.ready()
        print(f"ready: talk to it at {address}, or in the terminal: chatwright chat {last}   (Ctrl-C stops)")
        with stop_on_signal("stopping") as should_stop:
            while not should_stop():
                threading.Event().wait(0.2)
