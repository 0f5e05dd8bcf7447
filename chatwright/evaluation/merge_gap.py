"""Compare a merged model with its unmerged one on real text: typical gap and top tokens.

Float32 rounds the merged weights, so the logits move a little. In a deep model, a chaotic prompt
can enlarge this rounding a thousand times at a few positions (docs/LOG.md). The judgment therefore
uses the median over positions, relative to the effect of the adapter, and the most probable tokens.
A wrong merge moves the logits at every position by a share of that effect.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from chatwright.evaluation.logit_gap import logits_of
from chatwright.model import lora

NOISE = 1e-5
"""Median gap that rounding may cause, relative to the largest logit."""
TOLERANCE = 1e-4
"""Largest median gap, relative to the largest logit, however large the adapter's effect is."""
SHARE_OF_EFFECT = 0.02
"""Largest median gap above NOISE, relative to the median effect of the adapter."""
CLEAR_LEAD = 1e-3
"""A most probable token leads clearly by more than this, relative to the largest logit."""
SHARE_CHANGED = 0.002
"""Largest share of positions at which a clearly leading token may change."""


@dataclass(frozen=True)
class MergeGap:
    """Differences between the logits of a merged and an unmerged model, over all positions."""

    typical: float
    """Median over positions of the largest difference of a logit."""
    largest: float
    effect: float
    """Median over positions of the largest difference that the adapter makes."""
    scale: float
    """Largest absolute logit of the unmerged model, at least 1."""
    n_position: int
    n_changed: int
    """Positions at which the most probable token differs."""
    n_clearly_changed: int
    """Those at which it led clearly."""

    @property
    def problem(self) -> str:
        """What is wrong with the merge; "" if the models are equal up to rounding."""
        limit = max(NOISE * self.scale, SHARE_OF_EFFECT * self.effect)
        limit = min(limit, TOLERANCE * self.scale)
        if not self.largest < float("inf"):
            return "the merged logits are not finite"
        if not self.typical <= limit:
            return f"the typical gap is above {limit:.1e}"
        if self.n_clearly_changed > SHARE_CHANGED * self.n_position:
            return "clearly leading tokens changed"
        return ""

    def __str__(self) -> str:
        equal = self.n_position - self.n_changed
        return (
            f"typical gap {self.typical:.1e}, largest {self.largest:.1e} (largest logit "
            f"{self.scale:.1f}, typical effect of the adapter {self.effect:.1e}); the most "
            f"probable token is equal at {equal:,} of {self.n_position:,} positions"
        )


@torch.no_grad()
def merge_gap(unmerged: nn.Module, merged: nn.Module, prompts: Sequence[Tensor]) -> MergeGap:
    """Compare the logits of two models on prompts (1, T) of token ids."""
    gaps: list[Tensor] = []
    effects: list[Tensor] = []
    leads: list[Tensor] = []
    changed: list[Tensor] = []
    scale = 1.0
    for prompt in prompts:
        first = _positions(unmerged, prompt)  # (N, C)
        second = _positions(merged, prompt)
        with lora.switched_off(unmerged):
            base = _positions(unmerged, prompt)
        gaps.append((first - second).abs().amax(dim=1))
        effects.append((first - base).abs().amax(dim=1))
        top = first.topk(min(2, first.shape[1]), dim=1).values
        leads.append(top[:, 0] - top[:, -1])
        changed.append(first.argmax(dim=1) != second.argmax(dim=1))
        scale = max(scale, float(first.abs().max()))
    all_gaps = torch.cat(gaps)
    has_changed = torch.cat(changed)
    is_clear = torch.cat(leads) > CLEAR_LEAD * scale
    return MergeGap(
        typical=float(all_gaps.median()),
        largest=float(all_gaps.max()),
        effect=float(torch.cat(effects).median()),
        scale=scale,
        n_position=len(all_gaps),
        n_changed=int(has_changed.sum()),
        n_clearly_changed=int((has_changed & is_clear).sum()),
    )


def _positions(model: nn.Module, prompt: Tensor) -> Tensor:
    """Return the logits of every position, (N, C); C is 1 for the score of a reward model."""
    logits = logits_of(model, prompt).float()
    return logits[:, None] if logits.dim() == 1 else logits.flatten(0, -2)
