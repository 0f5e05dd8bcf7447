"""The logit gap of equal models is 0, and a known difference is measured exactly."""

import pytest
import torch
from torch import nn

from chatwright.evaluation.logit_gap import largest_gap, random_prompts


class ShiftedModel(nn.Module):
    """A model whose logits equal the token's id, plus a shift for one token."""

    def __init__(self, shift: float, token_id: int = 7) -> None:
        super().__init__()
        self.shift = shift
        self.token_id = token_id

    def forward(self, token_ids: torch.Tensor) -> torch.Tensor:
        shifted = token_ids + self.shift * (token_ids == self.token_id)
        return shifted[..., None].float().expand(-1, -1, 10)


def test_a_known_difference_of_logits_is_measured_exactly() -> None:
    prompts = random_prompts(10, 16)
    assert largest_gap(ShiftedModel(0.0), ShiftedModel(0.0), prompts).largest == 0.0
    gap = largest_gap(ShiftedModel(0.0), ShiftedModel(-0.5), prompts)
    assert (gap.largest, gap.scale, gap.n_prompt) == (0.5, 9.0, 32)
    assert gap.relative == pytest.approx(0.5 / 9)


def test_random_prompts_are_always_the_same_and_fit_context_and_vocabulary() -> None:
    first, again = random_prompts(300, 20), random_prompts(300, 20)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert {len(p[0]) for p in first} == set(range(1, 21))
    assert 0 <= min(int(p.min()) for p in first) <= max(int(p.max()) for p in first) < 300
