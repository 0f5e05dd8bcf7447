"""Give a server what its Teach and Runs views need; their jobs end with the server."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from chatwright.checkpoint.model_files import is_model
from chatwright.server.jobs.job_desk import JobDesk
from chatwright.server.service import Service
from chatwright.server.teach.teach_desk import TeachDesk
from chatwright.server.training_runs.run_desk import RunDesk
from chatwright.store.store import Store


@contextmanager
def loop_desks(
    service: Service,
    directory: Path,
    log: Path | None,
    runs: Path | None,
    settings: Sequence[str] = (),
    store: Store | None = None,
) -> Iterator[None]:
    """Let the page improve the served model and show runs, until the context ends.

    Args:
        service: The server's.
        directory: What is served. A bare model directory has no versions, so it is not improved.
        log: The live file of feedback; None if the server takes none.
        runs: The folder of the runs; None shows none.
        settings: Settings of every improvement, as KEY=VALUE.
        store: The store whose ratings count too.
    """
    jobs = JobDesk()
    if runs is not None:
        service.runs = RunDesk(runs, jobs)
    if not is_model(directory):
        service.teach = TeachDesk(directory, log, jobs, settings, store)
    try:
        yield
    finally:
        jobs.close()
