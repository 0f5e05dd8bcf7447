"""Position encodings equal their formulas."""

import math

import pytest
import torch

from chatwright.errors import InputError
from chatwright.model.positions import (
    RotaryScaling,
    RotaryTable,
    binary,
    rotate,
    sinusoidal,
    sinusoidal_halves,
)


def test_sinusoidal_equals_the_formula_of_vaswani_et_al() -> None:
    table = sinusoidal(50, 16)
    for p in (0, 1, 7, 49):
        for i in range(8):
            angle = p / 10_000 ** (2 * i / 16)
            assert math.isclose(table[p, 2 * i].item(), math.sin(angle), abs_tol=1e-5)
            assert math.isclose(table[p, 2 * i + 1].item(), math.cos(angle), abs_tol=1e-5)


def test_binary_encodings_are_the_bits_of_the_position() -> None:
    assert binary(4, 4).tolist() == [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 0, 1, 1]]


def test_rotation_keeps_norms_and_makes_scores_depend_on_the_distance_only() -> None:
    table = RotaryTable(64, 8, 10_000.0)
    q, k = torch.arange(8.0).view(1, 1, 1, 8), torch.arange(8.0, 0, -1).view(1, 1, 1, 8)

    def score(query_position: int, key_position: int) -> torch.Tensor:
        rotated_q = rotate(q, table(torch.tensor([[query_position]]), 1, torch.float32))
        rotated_k = rotate(k, table(torch.tensor([[key_position]]), 1, torch.float32))
        torch.testing.assert_close(rotated_q.norm(), q.norm())
        return (rotated_q * rotated_k).sum()

    torch.testing.assert_close(score(5, 2), score(45, 42), rtol=1e-4, atol=1e-3)
    assert not torch.allclose(score(5, 2), score(5, 3))


def test_llama3_scaling_lowers_only_low_frequencies() -> None:
    """With base 100 and Dh = 4, the angles grow by 1 and 1/10 radian per position.

    That is 6.37 and 0.637 turns in 40 positions.
    """
    plain = RotaryTable(50, 4, 100.0)
    scaling = RotaryScaling(kind="llama3", factor=4.0, original_length=40, low=1.0, high=4.0)
    scaled = RotaryTable(50, 4, 100.0, scaling)
    assert torch.equal(scaled.cos[:, 0], plain.cos[:, 0]), "more than 4 turns: not scaled"
    slow = (torch.arange(50) / 40.0).sin()
    torch.testing.assert_close(scaled.sin[:, 1], -slow)
    torch.testing.assert_close(scaled.sin[:, 3], slow)
    # Over 100 positions the low frequency makes 1.5915 turns, between the two limits.
    between = RotaryScaling(kind="llama3", factor=4.0, original_length=100, low=1.0, high=4.0)
    kept = (1.591549 - 1) / 3
    torch.testing.assert_close(
        RotaryTable(50, 4, 100.0, between).sin[:, 3],
        (torch.arange(50) * (kept / 10 + (1 - kept) / 40)).sin(),
    )


def test_linear_scaling_divides_all_frequencies() -> None:
    plain = RotaryTable(50, 4, 100.0)
    linear = RotaryTable(50, 4, 100.0, RotaryScaling(kind="linear", factor=2.0))
    torch.testing.assert_close(linear.cos[::2], plain.cos[:25])
    with pytest.raises(InputError) as caught:
        RotaryScaling(kind="linear", factor=0.5)
    assert (caught.value.field, caught.value.value) == ("factor", 0.5)


@pytest.mark.uses_global_rng
def test_sines_before_cosines_equal_the_marian_table_of_transformers() -> None:
    from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding

    reference = MarianSinusoidalPositionalEmbedding(40, 24)
    torch.testing.assert_close(
        sinusoidal_halves(40, 24), reference.create_weight(), atol=1e-6, rtol=0
    )
