"""The learning rate over a run, as a factor of its peak: a pure function of the step, so resuming needs no state.

Warm-up then cosine (Loshchilov & Hutter 2016), or warm-up, stable, decay (Hu et al. 2024): constant, then linear to the end.
"""

import math
from typing import Literal

ScheduleKind = Literal["cosine", "wsd"]


def factor(
    kind: ScheduleKind, step: int, steps: int, warmup: int, final: float, decay_share: float
) -> float:
    """In (0, 1]. step counts from 0; `final` is the factor at the end; `decay_share` is the share of a wsd run that decays."""
    if step < warmup:
        return (step + 1) / warmup
    if kind == "cosine":
        progress = (step - warmup) / max(1, steps - warmup)
        return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    decay_steps = max(1, round(decay_share * steps))
    left = min(1.0, (steps - step) / decay_steps)
    return final + (1 - final) * left
