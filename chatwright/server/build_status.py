"""What the page shows during a build, gathered from the training loop's progress. Written by one thread, read by the server's."""

import math
import threading
from dataclasses import replace

from chatwright.server.status import Sample, Status
from chatwright.training.loop import Progress

STAGE_WORDS = {"pretrain": "Learning to read", "sft": "Learning to converse"}
LATEST_SAMPLES = 6


class BuildStatus:
    """`progress` is a Watcher's; `status` is what the server asks. `stages` are the names of those that train, in order."""

    def __init__(self, stages: list[str]) -> None:
        self._stages = stages
        self._lock = threading.Lock()
        self._status = Status(state="building", stage="Preparing the texts", fraction=0.0)

    def status(self) -> Status:
        with self._lock:
            return self._status

    def progress(self, p: Progress) -> None:
        with self._lock:
            old = self._status
            new = replace(old, stage=STAGE_WORDS.get(p.stage, p.stage), fraction=self._fraction(p))
            if math.isfinite(p.seconds_left):
                new = replace(new, seconds_left=p.seconds_left)
            if "validation_loss" in p.evaluation:
                curve = old.loss_curve if old.stage == new.stage else ()
                new = replace(new, loss_curve=(*curve, (p.step, p.evaluation["validation_loss"])))
            if p.samples:
                fresh = tuple(Sample(prompt=prompt, reply=text, step=p.step) for prompt, text in p.samples)
                new = replace(new, samples=(*old.samples, *fresh)[-LATEST_SAMPLES:])
            self._status = new

    def _fraction(self, p: Progress) -> float:
        """Stages count alike; the time left, which is measured, is the better figure."""
        before = self._stages.index(p.stage) if p.stage in self._stages else 0
        return (before + p.step / p.steps) / max(1, len(self._stages))

    def ready(self) -> None:
        with self._lock:
            self._status = Status(state="ready", fraction=1.0)

    def failed(self, message: str) -> None:
        with self._lock:
            self._status = replace(self._status, state="failed", message=message)
