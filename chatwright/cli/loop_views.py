"""Give a server what its Teach and Runs views need; their jobs end with the server."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from chatwright.checkpoint.model_files import is_model
from chatwright.cli.served_models import ServedModels
from chatwright.server.jobs.job_runner import JobRunner
from chatwright.server.service import Service
from chatwright.server.teach.improvement_loop import ImprovementLoop
from chatwright.server.training_runs.training_runs import TrainingRuns
from chatwright.store.store import Store


@contextmanager
def loop_views(
    service: Service,
    directory: Path,
    log: Path | None,
    runs: Path | None,
    settings: Sequence[str] = (),
    store: Store | None = None,
    models: ServedModels | None = None,
) -> Iterator[None]:
    """Let the page improve the served model and show runs, until the context ends.

    Args:
        service: The server's.
        directory: What is served. A bare model directory has no versions, so it is not improved.
        log: The live file of feedback; None if the server takes none.
        runs: The folder of the runs; None shows none.
        settings: Settings of every improvement, as KEY=VALUE.
        store: The store whose ratings count too.
        models: Opens the candidate of a canary; None starts none.
    """
    jobs = JobRunner()
    if runs is not None:
        service.runs = TrainingRuns(runs, jobs)
    if not is_model(directory):
        service.teach = ImprovementLoop(directory, log, jobs, settings, store)
        if models is not None:
            service.teach.start_canary = partial(models.start_canary, service, directory)
    try:
        yield
    finally:
        jobs.close()
