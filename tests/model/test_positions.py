"""Positions against their formulas, written out."""

import math

import pytest
import torch

from chatwright.model.positions import (
    RotaryScaling,
    RotaryTable,
    binary,
    rotate,
    sinusoidal,
    sinusoidal_halves,
)


def test_sinusoidal_is_the_formula_of_2017() -> None:
    table = sinusoidal(50, 16)
    for p in (0, 1, 7, 49):
        for i in range(8):
            angle = p / 10_000 ** (2 * i / 16)
            assert math.isclose(table[p, 2 * i].item(), math.sin(angle), abs_tol=1e-5)
            assert math.isclose(table[p, 2 * i + 1].item(), math.cos(angle), abs_tol=1e-5)


def test_binary_counts_as_in_the_lecture() -> None:
    assert binary(4, 4).tolist() == [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 0, 1, 1]]


def test_rotary_keeps_lengths_and_depends_on_distance_only() -> None:
    table = RotaryTable(64, 8, 10_000.0)
    q, k = torch.arange(8.0).view(1, 1, 1, 8), torch.arange(8.0, 0, -1).view(1, 1, 1, 8)

    def score(at: int, other: int) -> torch.Tensor:
        turned_q = rotate(q, table(torch.tensor([[at]]), 1, torch.float32))
        turned_k = rotate(k, table(torch.tensor([[other]]), 1, torch.float32))
        torch.testing.assert_close(turned_q.norm(), q.norm())
        return (turned_q * turned_k).sum()

    torch.testing.assert_close(score(5, 2), score(45, 42), rtol=1e-4, atol=1e-3)
    assert not torch.allclose(score(5, 2), score(5, 3))


def test_a_scaled_rotary_slows_its_slow_angles_alone() -> None:
    """Worked by hand: base 100, width 4, so rates 1 and 1/10; over 40 positions they turn 6.37 and 0.637 times."""
    plain, scaling = (
        RotaryTable(50, 4, 100.0),
        RotaryScaling(kind="llama3", factor=4.0, original_length=40, low=1.0, high=4.0),
    )
    scaled = RotaryTable(50, 4, 100.0, scaling)
    assert torch.equal(scaled.cos[:, 0], plain.cos[:, 0]), "more than 4 turns: untouched"
    torch.testing.assert_close(scaled.sin[:, 1], (torch.arange(50) / 40.0).sin())
    between = RotaryScaling(
        kind="llama3", factor=4.0, original_length=100, low=1.0, high=4.0
    )  # the slow one turns 1.5915 times
    kept = (1.591549 - 1) / 3
    torch.testing.assert_close(
        RotaryTable(50, 4, 100.0, between).sin[:, 1],
        (torch.arange(50) * (kept / 10 + (1 - kept) / 40)).sin(),
    )
    linear = RotaryTable(50, 4, 100.0, RotaryScaling(kind="linear", factor=2.0))
    torch.testing.assert_close(linear.cos[::2], plain.cos[:25])
    with pytest.raises(ValueError, match=r"factor .0.5. must be at least 1"):
        RotaryScaling(kind="linear", factor=0.5)


@pytest.mark.uses_global_rng
def test_sines_before_cosines_equal_transformers_marian_table() -> None:
    from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding

    theirs = MarianSinusoidalPositionalEmbedding(40, 24)
    torch.testing.assert_close(sinusoidal_halves(40, 24), theirs.create_weight(), atol=1e-6, rtol=0)
