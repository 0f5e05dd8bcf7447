"""Look at something again and again in a thread, while a context is open."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def look_repeatedly(
    look: Callable[[], None], name: str, seconds: float, patience: float
) -> Iterator[None]:
    """Call `look` every `seconds` in a thread called `name` while the context is open.

    At the end, a look that is in progress is waited for `patience` seconds at most.
    """
    is_over = threading.Event()

    def repeat() -> None:
        while not is_over.wait(seconds):
            look()

    thread = threading.Thread(target=repeat, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(patience)
