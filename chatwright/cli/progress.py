"""Show a training run in a terminal: bars, samples, and a clean stop on Ctrl-C or SIGTERM."""

import json
import math
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bar

from chatwright.cli.figures import figures_in_one_line
from chatwright.training.watcher import Progress, Watcher

Report = Callable[[Progress], None]
Message = Callable[[str], None]
MAX_SAMPLE = 300  # characters shown of a sample
PLAIN_LINES = 20  # progress lines per stage where bars cannot be drawn
SLOW_STEP = 2.0  # seconds; of slower steps, each gets a line


def ignore(_: object) -> None:
    """Do nothing: the default of a callback."""


@contextmanager
def terminal_watcher(
    also: Report = ignore,
    as_json: bool = False,
    saved: Callable[[Path], None] = ignore,
    also_warn: Message = ignore,
    seconds_left: Callable[[], float | None] | None = None,
) -> Iterator[Watcher]:
    """Yield a Watcher that prints a run's progress.

    Args:
        also: Receives the progress too (the chat page).
        as_json: Print one JSON object per line instead of bars.
        saved: Receives the path of each saved checkpoint.
        also_warn: Receives the warnings too.
        seconds_left: The time left of the whole build; by default each stage shows its own.
    """
    with stop_on_signal() as should_stop:
        if as_json:
            yield _json_watcher(also, saved, also_warn, should_stop)
            return
        console = Console(stderr=True, highlight=False)
        warnings: list[str] = []

        def warn(text: str) -> None:
            warnings.append(text)
            console.print(f"[yellow]{escape(text)}[/yellow]")
            also_warn(text)

        with _bar(console) as bar:
            view = _ProgressView(bar, console, also, seconds_left)
            yield Watcher(
                progress=view.progress,
                saved=saved,
                say=lambda text: console.print(escape(text)),
                should_stop=should_stop,
                activity=view.activity,
                warn=warn,
            )
        if warnings:  # each scrolled away with everything else, so the last is repeated
            count = f"{len(warnings)} {'warning' if len(warnings) == 1 else 'warnings'}"
            console.print(f"[yellow]{count} during the run; the last: {escape(warnings[-1])}[/]")


def _bar(console: Console) -> Bar:
    return Bar(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TextColumn("{task.fields[left]}"),
        TimeElapsedColumn(),
        console=console,
        refresh_per_second=4,
        disable=not console.is_terminal,
    )


def _json_watcher(
    also: Report,
    saved: Callable[[Path], None],
    also_warn: Message,
    should_stop: Callable[[], bool],
) -> Watcher:
    def print_object(table: dict[str, object]) -> None:
        print(json.dumps(table), flush=True)

    def progress(p: Progress) -> None:
        also(p)
        # JSON has no NaN or infinity.
        is_nan = {
            name for name, v in vars(p).items() if isinstance(v, float) and not math.isfinite(v)
        }
        print_object({name: value for name, value in vars(p).items() if name not in is_nan})

    def warn(text: str) -> None:
        print_object({"warning": text})
        also_warn(text)

    return Watcher(
        progress=progress,
        saved=saved,
        say=lambda text: print_object({"say": text}),
        should_stop=should_stop,
        warn=warn,
    )


class _ProgressView:
    """Draws one bar per stage, or prints lines where the output is not a terminal."""

    def __init__(
        self,
        bar: Bar,
        console: Console,
        also: Report,
        seconds_left: Callable[[], float | None] | None,
    ) -> None:
        self.bar = bar
        self.console = console
        self.also = also
        self.seconds_left = seconds_left
        self.tasks: dict[str, TaskID] = {}
        # Shown from the first moment, until the first stage reports progress.
        self.preparing = bar.add_task("preparing", total=None, loss="", left="")
        self.newest = self.preparing
        self.printed_steps: dict[str, int] = {}  # by stage, the last step that was printed

    def progress(self, p: Progress) -> None:
        """Show one report of the loop: an evaluation, samples or a step."""
        self.also(p)
        if p.stage not in self.tasks:
            self.tasks[p.stage] = self.bar.add_task(p.stage, total=p.steps, loss="", left="")
            self.bar.update(self.preparing, visible=False)
        self.newest = self.tasks[p.stage]
        self.bar.update(self.newest, description=p.stage)
        if p.evaluation or p.samples:
            self._show_evaluation(p)
        else:
            self._show_step(p)

    def activity(self, text: str) -> None:
        """Show what the run does now beside the bar, until the next progress."""
        self.bar.update(self.newest, description=text)

    def _show_step(self, p: Progress) -> None:
        left = self._time_left(p)
        loss = f"loss {p.loss:.3f}"
        self.bar.update(self.tasks[p.stage], completed=p.step, loss=loss, left=left)
        since_printed = p.step - self.printed_steps.get(p.stage, 0)
        is_slow = p.seconds >= SLOW_STEP * max(1, p.step)
        n_between = 1 if is_slow else max(1, p.steps // PLAIN_LINES)
        if not self.console.is_terminal and since_printed >= n_between:
            self.printed_steps[p.stage] = p.step
            self.console.print(f"{p.stage} step {p.step}/{p.steps} loss {p.loss:.3f} {left}")

    def _time_left(self, p: Progress) -> str:
        if self.seconds_left is None:
            return time_left(p.seconds_left)
        left = time_left(self.seconds_left() or math.nan)
        return f"{left} in all" if left else ""

    def _show_evaluation(self, p: Progress) -> None:
        self.console.print(f"[bold]step {p.step}[/bold]  {figures_in_one_line(p.evaluation)}")
        for prompt, text in p.samples:
            sample = escape(" ".join(text.split()))[:MAX_SAMPLE]
            self.console.print(f"  [cyan]{escape(prompt)}[/cyan] {sample}")


def time_left(seconds: float) -> str:
    """Format a duration as "2 min 05 s left"; an unknown one (NaN) as nothing."""
    if not math.isfinite(seconds):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s left" if minutes else f"{rest} s left"


@contextmanager
def stop_on_signal(
    message: str = "saving after this step; run the same command again to resume",
) -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether Ctrl-C or SIGTERM asked the program to stop.

    The first signal prints `message`, and the caller stops when it can. A second Ctrl-C raises
    KeyboardInterrupt.
    """
    asked = threading.Event()

    def handle(number: int, _: FrameType | None) -> None:
        if asked.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.set()
        print(f"\n{message}", file=sys.stderr)

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set  # only the main thread can receive signals
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
