"""The relative change of sums has the interval of the change, not of the items."""

import pytest
import torch

from chatwright.devices import generator
from chatwright.evaluation.relative_change import relative_change


def test_texts_of_different_lengths_do_not_widen_the_interval_of_an_equal_change() -> None:
    """Texts differ by a factor of 20; the second model needs 1 % more bits for each."""
    before = (10 + 200 * torch.rand(40, generator=generator(1, "texts"))).tolist()
    measured = relative_change(before, [1.01 * x for x in before])
    assert measured.value == pytest.approx(0.01)
    assert measured.low == pytest.approx(0.01)
    assert measured.high == pytest.approx(0.01)


def test_a_change_of_single_texts_only_has_an_interval_around_0() -> None:
    noise = 0.1 * torch.randn(60, generator=generator(2, "noise"))
    measured = relative_change([1.0] * 60, (1 + noise - noise.mean()).tolist())
    assert measured.low < measured.value < measured.high
    assert measured.value == pytest.approx(0, abs=1e-6)
