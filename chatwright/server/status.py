"""What the page shows of a build and of the model that answers meanwhile: the stage, how far, how long still, the curve, some replies.

Whoever builds (`chatwright up`) hands `make_app` a function that returns a Status; the server only asks it, about once a
second. Numbers that are not finite become null on the way out, because JSON has no word for them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["building", "ready", "failed"]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What the unfinished model wrote to a prompt, shown as it learns."""

    prompt: str
    reply: str
    step: int


@dataclass(frozen=True, kw_only=True)
class Status:
    state: State
    stage: str = ""  # what is being done now, in plain words: "Learning to converse"
    fraction: float | None = None  # of the whole build, 0 to 1; None where nobody knows
    seconds_left: float | None = None
    message: str = ""  # a sentence; for `failed`: cause and remedy
    loss_curve: tuple[tuple[int, float], ...] = ()  # (step, validation loss)
    samples: tuple[Sample, ...] = ()  # in the order they were made
    # What answers now; the server fills these in, whatever the builder says.
    can_chat: bool = False
    model: str = ""  # in words: "step 300 of 900 of learning to converse"; "" where nobody said
    model_number: int = (
        0  # how many have been put in place so far: when it grows, another one answers
    )

    def to_json(self) -> dict[str, Any]:
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
    return value if value is not None and math.isfinite(value) else None
