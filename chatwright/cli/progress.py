"""How a run is shown in a terminal: one bar a stage with the time left, samples as they come, and a clean stop on Ctrl-C or SIGTERM."""

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
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bar

from chatwright.training.watcher import Progress, Watcher

Saved = Callable[[Path], None]
Said = Callable[[str], None]


@contextmanager
def terminal(
    also: Callable[[Progress], None] | None = None,
    as_json: bool = False,
    saved: Saved = lambda _: None,
    also_warn: Said = lambda _: None,
    left_in_all: Callable[[], float | None] | None = None,
) -> Iterator[Watcher]:
    """A Watcher that draws. `also` and `also_warn` are told the same (the web page); `as_json` writes one object a line instead of bars.

    The time left is the stage's, or what `left_in_all` says of the whole.

    Warnings scroll away with everything else, so they are counted and the last one is said again at the end.
    """
    warnings: list[str] = []

    def warning(say: Said) -> Said:
        def warn(text: str) -> None:
            warnings.append(text)
            say(text)
            also_warn(text)

        return warn

    with stop_on_signal() as should_stop:
        if as_json:
            yield Watcher(
                lambda p: _print_json(p, also),
                saved,
                lambda text: print(json.dumps({"say": text}), flush=True),
                should_stop,
                warning(lambda text: print(json.dumps({"warning": text}), flush=True)),
            )
            return
        console = Console(stderr=True, highlight=False)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TextColumn("{task.fields[left]}"),
        )
        with Bar(
            *columns, console=console, refresh_per_second=4, disable=not console.is_terminal
        ) as bar:
            drawn = _Drawn(bar, console, also, left_in_all)
            yield Watcher(
                drawn.progress,
                saved,
                lambda text: console.print(escape(text)),
                should_stop,
                warning(lambda text: console.print(f"[yellow]{escape(text)}[/yellow]")),
            )
        if warnings:
            console.print(
                f"[yellow]{len(warnings)} of the run's figures were not as expected; the last: {escape(warnings[-1])}[/yellow]"
            )


class _Drawn:
    def __init__(
        self,
        bar: Bar,
        console: Console,
        also: Callable[[Progress], None] | None,
        left_in_all: Callable[[], float | None] | None,
    ) -> None:
        self.bar, self.console, self.also, self.left_in_all = bar, console, also, left_in_all
        self.tasks: dict[str, TaskID] = {}
        self.plain_steps: dict[str, int] = {}  # the last one printed, where bars cannot be drawn

    def progress(self, p: Progress) -> None:
        if self.also is not None:
            self.also(p)
        if p.stage not in self.tasks:
            self.tasks[p.stage] = self.bar.add_task(p.stage, total=p.steps, loss="", left="")
        if p.evaluation or p.samples:
            self._show_evaluation(p)
        else:
            left = time_left(
                p.seconds_left if self.left_in_all is None else self.left_in_all() or math.nan
            )
            left += " in all" if left and self.left_in_all else ""
            self.bar.update(self.tasks[p.stage], completed=p.step, loss=f"{p.loss:.3f}", left=left)
            if not self.console.is_terminal and p.step - self.plain_steps.get(p.stage, 0) >= max(
                1, p.steps // 20
            ):
                self.plain_steps[p.stage] = p.step
                self.console.print(f"{p.stage} step {p.step}/{p.steps} loss {p.loss:.3f} {left}")

    def _show_evaluation(self, p: Progress) -> None:
        figures = "  ".join(
            f"{name.replace('_', ' ')} {value:.4f}" for name, value in p.evaluation.items()
        )
        self.console.print(f"[bold]step {p.step}[/bold]  {figures}")
        for prompt, text in p.samples:
            self.console.print(
                f"  [cyan]{escape(prompt)}[/cyan] {escape(' '.join(text.split()))[:300]}"
            )


def _print_json(p: Progress, also: Callable[[Progress], None] | None) -> None:
    if also is not None:
        also(p)
    finite = {
        k: v for k, v in vars(p).items() if not (isinstance(v, float) and not math.isfinite(v))
    }
    print(json.dumps(finite), flush=True)


def time_left(seconds: float) -> str:
    if not math.isfinite(seconds):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s left" if minutes else f"{rest} s left"


@contextmanager
def stop_on_signal(
    answer: str = "saving after this step; the same command will go on from there",
) -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C or SIGTERM asks the run to save and stop; a second Ctrl-C stops it where it is."""
    flag = threading.Event()

    def ask(number: int, _: FrameType | None) -> None:
        if flag.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        flag.set()
        print(f"\n{answer}", file=sys.stderr)

    if threading.current_thread() is not threading.main_thread():
        yield flag.is_set
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield flag.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
