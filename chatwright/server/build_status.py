"""Turn the progress of a training loop into the status that the page shows during a build.

The build's thread updates the status and the server's thread reads it. A build is a sequence of
stages, such as pretraining and fine-tuning; `fraction` and `seconds_left` cover all of them. A step
of a later stage is assumed to take as long as one of the current stage, so the time left is an
estimate.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from chatwright.pipeline.stage_kinds import STAGE_KINDS
from chatwright.server.status import Sample, Status
from chatwright.training.watcher import Progress

SAMPLES_PER_PROMPT = 4
"""Number of samples kept of each prompt: the newest and a few older ones, for comparison."""
LABELS = {kind.name: kind.label for kind in STAGE_KINDS if kind.label}
"""Names of the stages for people, by stage kind."""


class BuildStatus:
    """The status of one build."""

    def __init__(
        self, stages: Sequence[tuple[str, int]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start before the first step.

        Args:
            stages: Kind and number of steps of each stage that trains, in order.
            clock: Returns seconds; replaced in tests.
        """
        self._kinds = [kind for kind, _ in stages]
        self._steps = [steps for _, steps in stages]
        self._clock = clock
        self._lock = threading.Lock()
        self._status = Status(state="building", stage="Preparing the texts", fraction=0.0)
        self._stage = -1  # index of the current stage; -1 before the first
        self._stage_start = (0.0, 0)  # time and step of the stage's first report
        self._last_step = 0
        self._seconds_per_step: float | None = None

    def status(self) -> Status:
        """Return the status; the server calls this."""
        with self._lock:
            return self._status

    def update(self, progress: Progress) -> None:
        """Update the status from the progress of the training loop."""
        with self._lock:
            is_new_stage = self._is_new_stage(progress)
            if is_new_stage:
                self._begin_stage(progress)
            self._measure_speed(progress)
            n_done = sum(self._steps[: self._stage]) + progress.step
            n_all = sum(self._steps)
            label = LABELS.get(progress.stage, progress.stage)
            status = replace(self._status, stage=label, fraction=n_done / n_all)
            if self._seconds_per_step is not None:
                status = replace(status, seconds_left=self._seconds_per_step * (n_all - n_done))
            if is_new_stage:  # losses of different stages are not comparable
                status = replace(status, loss_curve=(), samples=())
            self._status = _with_results(status, progress)

    def warn(self, message: str) -> None:
        """Show a warning until the build has ended."""
        with self._lock:
            self._status = replace(self._status, message=message)

    def set_ready(self, message: str = "") -> None:
        """Report that the build is finished, with a warning about its result if there is one."""
        with self._lock:
            self._status = Status(state="ready", fraction=1.0, message=message)

    def set_failed(self, message: str) -> None:
        """Report that the build failed, with cause and remedy."""
        with self._lock:
            self._status = replace(self._status, state="failed", message=message)

    def _is_new_stage(self, progress: Progress) -> bool:
        if self._stage < 0 or self._kinds[self._stage] != progress.stage:
            return True
        return progress.step < self._last_step

    def _begin_stage(self, progress: Progress) -> None:
        following = range(self._stage + 1, len(self._kinds))
        planned = [index for index in following if self._kinds[index] == progress.stage]
        if planned:
            self._stage = planned[0]
        else:  # a stage that was not planned
            self._stage = self._stage + 1
            self._kinds.insert(self._stage, progress.stage)
            self._steps.insert(self._stage, progress.steps)
        self._steps[self._stage] = progress.steps  # the loop's number replaces the planned one
        self._stage_start = (self._clock(), progress.step)

    def _measure_speed(self, progress: Progress) -> None:
        """Measure seconds per step by the clock, since evaluating and saving take time too.

        Directly after a resume, use the training loop's average over the earlier steps.
        """
        start, first_step = self._stage_start
        if progress.step > first_step:
            self._seconds_per_step = (self._clock() - start) / (progress.step - first_step)
        elif progress.step and progress.seconds:
            self._seconds_per_step = progress.seconds / progress.step
        self._last_step = progress.step


def _with_results(status: Status, progress: Progress) -> Status:
    """Return the status with the validation loss and the samples of this step, if there are any."""
    loss = progress.evaluation.get("validation_loss")
    if loss is not None:
        status = replace(status, loss_curve=(*status.loss_curve, (progress.step, loss)))
    if progress.samples:
        status = replace(status, samples=_newest_samples(status.samples, progress))
    return status


def _newest_samples(old: Sequence[Sample], progress: Progress) -> tuple[Sample, ...]:
    """Return the newest samples of each prompt, oldest first."""
    new = [
        Sample(prompt=prompt, reply=reply, step=progress.step) for prompt, reply in progress.samples
    ]
    n_newer: Counter[str] = Counter()
    kept = []
    for sample in reversed([*old, *new]):
        n_newer[sample.prompt] += 1
        if n_newer[sample.prompt] <= SAMPLES_PER_PROMPT:
            kept.append(sample)
    return tuple(reversed(kept))
