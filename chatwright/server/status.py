"""The status of a build and of the served model, as the page shows it.

`chatwright up` gives the server a function that returns a Status; the server calls it about once a
second. NaN and infinity become null, because JSON has neither.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["building", "opening", "ready", "failed"]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A reply of the unfinished model, shown while it learns."""

    prompt: str
    reply: str
    step: int


@dataclass(frozen=True, kw_only=True)
class Status:
    """How far a build is, and which model replies."""

    state: State
    """Whether the model is being built, being opened, ready, or could not be built."""
    stage: str = ""
    """What the build is doing, for people: "Learning to converse"."""
    fraction: float | None = None
    """Completed part of the whole build, 0 to 1; None if unknown."""
    seconds_left: float | None = None
    """Estimated time until the build is finished; None if unknown."""
    message: str = ""
    """A warning, or the cause and remedy of a failure."""
    loss_curve: tuple[tuple[int, float], ...] = ()
    """(step, validation loss) of the current stage."""
    samples: tuple[Sample, ...] = ()
    """Replies of the current stage's model, oldest first."""
    can_chat: bool = False
    """Whether a model replies. The server sets this and the next two fields."""
    model: str = ""
    """Description of that model, for example "step 300 of 900, learning to converse"; or ""."""
    model_number: int = 0
    """Number of models served so far; it grows when another model replaces the served one."""

    def to_json(self) -> dict[str, Any]:
        """Return the body of GET /api/status."""
        return {
            "state": self.state,
            "stage": self.stage,
            "fraction": finite(self.fraction),
            "seconds_left": finite(self.seconds_left),
            "message": self.message,
            "loss_curve": [[step, finite(loss)] for step, loss in self.loss_curve],
            "samples": [
                {"prompt": sample.prompt, "reply": sample.reply, "step": sample.step}
                for sample in self.samples
            ],
            "can_chat": self.can_chat,
            "model": self.model,
            "model_number": self.model_number,
        }


def finite(value: float | None) -> float | None:
    """Return a number, or None if it is infinite or NaN."""
    return value if value is not None and math.isfinite(value) else None
