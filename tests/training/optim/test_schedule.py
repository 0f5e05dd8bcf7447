"""Learning-rate schedules equal values worked out by hand."""

import math

import pytest

from chatwright.training.optim.schedule import factor


def test_wsd_warms_up_stays_and_falls_linearly() -> None:
    factors = [factor("wsd", step, 10, 2, 0.0, 0.5) for step in range(10)]
    assert factors == pytest.approx([0.5, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])


def test_cosine_falls_to_the_final_factor() -> None:
    """At 90 % of the way down, the half cosine is 0.5 x (1 + cos 0.9 pi)."""
    factors = [factor("cosine", step, 12, 2, 0.1, 0.5) for step in (0, 1, 2, 7, 11)]
    last = 0.1 + 0.9 * 0.5 * (1 + math.cos(0.9 * math.pi))
    assert factors == pytest.approx([0.5, 1, 1, 0.55, last])


def test_constant_stays_at_the_peak() -> None:
    factors = [factor("constant", step, 10, 2, 0.0, 0.5) for step in range(10)]
    assert factors == pytest.approx([0.5] + [1.0] * 9)
