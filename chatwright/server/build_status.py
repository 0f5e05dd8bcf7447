"""What the page shows during a build, gathered from the training loop's progress. Written by one thread, read by the server's.

How far and how long still are of the whole build, not of the stage under way: they count the steps of all stages, and a stage that
has not begun is taken to need as long a step as the one under way. So the time left is an estimate, and the page says "about".
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from chatwright.pipeline.stage_kinds import stage_kind
from chatwright.server.status import Sample, Status
from chatwright.training.watcher import Progress

KEPT_PER_PROMPT = 4  # the newest and a few before it, so that one sees it get better


class BuildStatus:
    """`progress` is a Watcher's; `status` is what the server asks. `stages` are those that train, in order: (kind, steps)."""

    def __init__(
        self, stages: Sequence[tuple[str, int]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kinds, self._steps = [kind for kind, _ in stages], [steps for _, steps in stages]
        self._clock = clock
        self._lock = threading.Lock()
        self._status = Status(state="building", stage="Preparing the texts", fraction=0.0)
        self._stage = -1  # index of the one under way; before the first none is
        self._first, self._last = (
            (0.0, 0),
            0,
        )  # when, and at which step, it was first heard of; its latest step
        self._seconds_per_step: float | None = None

    def status(self) -> Status:
        with self._lock:
            return self._status

    def progress(self, p: Progress) -> None:
        with self._lock:
            is_new = self._is_new_stage(p)
            if is_new:
                self._begin_stage(p)
            self._measure(p)
            done = sum(self._steps[: self._stage]) + p.step
            new = replace(
                self._status,
                stage=stage_kind(p.stage).label,
                fraction=done / sum(self._steps),
            )
            if self._seconds_per_step is not None:
                new = replace(new, seconds_left=self._seconds_per_step * (sum(self._steps) - done))
            if is_new:  # another loss on other texts, other prompts: nothing to compare
                new = replace(new, loss_curve=(), samples=())
            if "validation_loss" in p.evaluation:
                new = replace(
                    new, loss_curve=(*new.loss_curve, (p.step, p.evaluation["validation_loss"]))
                )
            if p.samples:
                new = replace(new, samples=with_samples(new.samples, p))
            self._status = new

    def _is_new_stage(self, p: Progress) -> bool:
        return self._stage < 0 or self._kinds[self._stage] != p.stage or p.step < self._last

    def _begin_stage(self, p: Progress) -> None:
        following = [
            index
            for index in range(self._stage + 1, len(self._kinds))
            if self._kinds[index] == p.stage
        ]
        if following:
            self._stage = following[0]
        else:  # one that nobody announced
            self._stage = self._stage + 1
            self._kinds.insert(self._stage, p.stage)
            self._steps.insert(self._stage, p.steps)
        self._steps[self._stage] = p.steps  # the loop knows best
        self._first = (self._clock(), p.step)

    def _measure(self, p: Progress) -> None:
        """By the clock on the wall, because evaluating and saving take time too; by the loop's own account until there is any."""
        began, first_step = self._first
        if p.step > first_step:
            self._seconds_per_step = (self._clock() - began) / (p.step - first_step)
        elif p.step and p.seconds:  # going on from a kill: what a step took then
            self._seconds_per_step = p.seconds / p.step
        self._last = p.step

    def warned(self, sentence: str) -> None:
        """Stays to be read until the build has ended."""
        with self._lock:
            self._status = replace(self._status, message=sentence)

    def ready(self) -> None:
        with self._lock:
            self._status = Status(state="ready", fraction=1.0)

    def failed(self, message: str) -> None:
        with self._lock:
            self._status = replace(self._status, state="failed", message=message)


def with_samples(old: Sequence[Sample], p: Progress) -> tuple[Sample, ...]:
    """The fresh ones behind the old ones, the newest few of each prompt."""
    every = [*old, *(Sample(prompt=prompt, reply=text, step=p.step) for prompt, text in p.samples)]
    newer: Counter[str] = Counter()
    kept = []
    for sample in reversed(every):
        newer[sample.prompt] += 1
        if newer[sample.prompt] <= KEPT_PER_PROMPT:
            kept.append(sample)
    return tuple(reversed(kept))
