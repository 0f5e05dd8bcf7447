"""The gap of a model to itself is none, and a planted difference is found whole."""

import pytest
import torch
from torch import nn

from chatwright.evaluation.logit_gap import largest_gap, random_prompts


class Shifted(nn.Module):
    """Logits that are the token's own id, one of them shifted."""

    def __init__(self, shift: float, token_id: int = 7) -> None:
        super().__init__()
        self.shift, self.token_id = shift, token_id

    def forward(self, token_ids: torch.Tensor) -> torch.Tensor:
        return (
            (token_ids + self.shift * (token_ids == self.token_id))[..., None]
            .float()
            .expand(-1, -1, 10)
        )


def test_a_planted_difference_is_found_whole() -> None:
    prompts = random_prompts(10, 16)
    assert largest_gap(Shifted(0.0), Shifted(0.0), prompts).largest == 0.0
    gap = largest_gap(Shifted(0.0), Shifted(-0.5), prompts)
    assert (gap.largest, gap.scale, gap.n_prompt) == (0.5, 9.0, 32)
    assert gap.relative == pytest.approx(0.5 / 9)


def test_the_prompts_are_the_same_each_time_and_fit_the_model() -> None:
    first, again = random_prompts(300, 20), random_prompts(300, 20)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert {len(p[0]) for p in first} == set(range(1, 21))
    assert 0 <= min(int(p.min()) for p in first) <= max(int(p.max()) for p in first) < 300
