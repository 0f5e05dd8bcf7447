"""Build or fetch a model and serve it: `chatwright up`. A second call serves at once."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatwright.cli.open_model import serve_open_model, wait_for_stop
from chatwright.cli.open_store import served_store
from chatwright.cli.options import (
    CacheMemory,
    MaxContext,
    MaxReplies,
    Port,
    RecipeData,
    Smoke,
    Weights,
    memory_limits,
)
from chatwright.cli.status_line import StatusLine
from chatwright.commands import command_line

if TYPE_CHECKING:
    from chatwright.engine.cache_plan import MemoryLimits
    from chatwright.pipeline.build import Build

FEEDBACK_FILE = "feedback.jsonl"
"""Where the ratings given on the page are appended, in the directory of the stages."""

LESSONS = "lessons"
"""Where the models are that are trained in the lessons, in the directory of the stages."""


def up(
    recipe: Annotated[
        Path | None,
        typer.Argument(
            help="A folder made by chatwright new, a recipe file, or the name of a packaged "
            "recipe (starter-large); or a model: a directory, or a name that chatwright fetch "
            "takes (smollm2-135m-instruct). Without it, the starter."
        ),
    ] = None,
    data: RecipeData = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="The directory of the stages; by default FOLDER/runs, or runs/RECIPE."
        ),
    ] = None,
    port: Port = 8000,
    smoke: Smoke = False,
    build_only: Annotated[
        bool, typer.Option("--build-only", help="Build the model, and do not serve it.")
    ] = False,
    max_context: MaxContext = None,
    max_replies: MaxReplies = None,
    cache_memory: CacheMemory = "",
    weights: Weights = "float32",
) -> None:
    """Build or fetch a model, and serve it.

    Without an argument this is the starter model, which takes 10 minutes to an hour and is served
    while it trains. An open model is downloaded and imported. A second call serves at once.
    """
    limits = memory_limits(max_context, max_replies, cache_memory, weights)
    from chatwright.pipeline.up_target import is_open_model, require_chat_model

    if recipe is not None and is_open_model(recipe.as_posix()):
        given = {"--data": data, "--out": out, "--smoke": smoke, "--build-only": build_only}
        require_chat_model(recipe.as_posix(), [name for name, value in given.items() if value])
        serve_open_model(recipe.as_posix(), port, limits)
        return
    with StatusLine("Preparing the build") as status:
        status.show("loading PyTorch")
        from chatwright.pipeline.build import plan_build

    build = plan_build(recipe, data, out, smoke)
    if not build_only:
        build.require_chat_model()
    build.check_data(show=lambda report: print(report, file=sys.stderr))
    if build_only:
        _build(build)
    else:
        _build_and_serve(build, port, limits)


def _build(build: "Build") -> None:
    from chatwright.cli.progress import terminal_watcher
    from chatwright.pipeline.closing_note import recipe_note
    from chatwright.pipeline.run_recipe import run_recipe

    with terminal_watcher() as watcher:
        last = run_recipe(build.recipe, build.out, build.data, watcher)
    parts = [f"built: {last}.", recipe_note(build.recipe, build.out)]
    print(" ".join(filter(None, [*parts, f"Talk to it: {command_line('chat', last)}"])))


def _build_and_serve(build: "Build", port: int, limits: "MemoryLimits") -> None:
    """Serve the page at once. Each checkpoint that can converse replaces the one before."""
    from chatwright.checkpoint.registry import holds_registry
    from chatwright.cli.loop_views import loop_views
    from chatwright.cli.own_models import own_models
    from chatwright.cli.progress import terminal_watcher
    from chatwright.cli.served_models import served_models
    from chatwright.engine.cache_plan import SERVED_REPLIES
    from chatwright.pipeline.closing_note import warnings_of
    from chatwright.pipeline.run_recipe import run_recipe
    from chatwright.pipeline.servable_checkpoints import (
        newest_servable_checkpoint,
        servable_checkpoint,
    )
    from chatwright.server.build_status import BuildStatus
    from chatwright.server.feedback.collector import FeedbackCollector
    from chatwright.server.http_server import serve_in_thread
    from chatwright.server.replies.engine_thread import Limits
    from chatwright.training.checks import RunFailed

    board = BuildStatus(build.trained_stages)
    at_once = Limits.of_engine(limits.max_replies or SERVED_REPLIES)
    with (
        served_models(limits) as models,
        served_store() as users,
        serve_in_thread(build.name, port, status=board.status, limits=at_once, accounts=users) as (
            service,
            address,
        ),
        ExitStack() as stack,
    ):
        print(f"the page is at {address}")

        log = build.out / FEEDBACK_FILE
        service.feedback = FeedbackCollector(log)
        stack.enter_context(loop_views(service, build.out, log, build.out.parent, models=models))
        store = None if users is None else users.store
        stack.enter_context(own_models(service, models, build.out / LESSONS, store, False))

        def publish(checkpoint: Path) -> None:
            if description := servable_checkpoint(build.recipe, build.out, checkpoint):
                models.publish(service, checkpoint, description)

        # An interrupted build left a checkpoint: serve it while the build resumes.
        if newest := newest_servable_checkpoint(build.recipe, build.out):
            publish(newest)
        with terminal_watcher(
            board.update,
            saved=publish,
            also_warn=board.warn,
            seconds_left=lambda: board.status().seconds_left,
        ) as watcher:
            try:
                last = run_recipe(build.recipe, build.out, build.data, watcher)
            except (ValueError, RunFailed) as error:
                board.set_failed(str(error))
                if sys.stdin.isatty():  # a user is there: the page and earlier models stay
                    print(f"the build failed: {error}\nThe page at {address} stays until Ctrl-C.")
                    wait_for_stop()
                raise
        model = build.out if holds_registry(build.out) else last
        with StatusLine(f"Opening {model}") as opening:
            opened = models.publish(service, model, status=opening)
        warnings = warnings_of(build.recipe, build.out)
        board.set_ready(warnings)
        if warnings:
            print(warnings)
        chat = command_line("chat", model)
        with models.follow(build.out, opened.facts.directory, service):
            print(f"ready: talk to it at {address}, or in the terminal: {chat}   (Ctrl-C stops)")
            wait_for_stop()
