"""Let Ctrl-C stop a reply between two steps of the engine."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether Ctrl-C was pressed inside this context.

    Ctrl-C sets a flag instead of raising: an exception in the middle of an engine step would leave
    the step half done.
    """
    pressed: list[int] = []
    try:
        previous_handler = signal.signal(
            signal.SIGINT, lambda number, _frame: pressed.append(number)
        )
    except ValueError:  # not in the main thread, which alone receives Ctrl-C
        yield lambda: False
        return
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, previous_handler)
