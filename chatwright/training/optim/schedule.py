"""The learning rate over a run, as a fraction of its peak.

It depends on the step and the settings alone, so resuming needs no state. After the warm-up:

- "cosine" falls along half a cosine (Loshchilov & Hutter 2016);
- "wsd" (warm-up, stable, decay; Hu et al. 2024) stays at the peak, then falls linearly;
- "constant" stays at the peak, so a run can be lengthened at any time.
"""

import math
from typing import Literal

ScheduleKind = Literal["cosine", "wsd", "constant"]


def factor(
    kind: ScheduleKind, step: int, steps: int, warmup: int, final: float, decay_share: float
) -> float:
    """Return the learning rate of a step as a fraction of its peak, in (0, 1].

    Args:
        kind: The shape of the schedule.
        step: The step, counted from 0.
        steps: The length of the run.
        warmup: Steps until the peak is reached.
        final: The fraction at the end of the run, except for "constant".
        decay_share: The share of a wsd run in which the rate decays.
    """
    if step < warmup:
        return (step + 1) / warmup
    if kind == "constant":
        return 1.0
    if kind == "cosine":
        progress = (step - warmup) / max(1, steps - warmup)
        return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    decay_steps = max(1, round(decay_share * steps))
    left = min(1.0, (steps - step) / decay_steps)
    return final + (1 - final) * left
