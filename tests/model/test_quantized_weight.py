"""Weights as a GGUF file stores them: equal to the gguf package's numbers, bit for bit."""

import gguf
import numpy as np
import pytest
import torch

from chatwright.model.quantized_weight import BLOCKS, GROUP, QuantizedWeight
from tests.quantize_blocks import quantize


def random_weight(number_type: str, n_out: int = 6) -> QuantizedWeight:
    """Every byte of the codes is random; the scales are random finite numbers of both signs."""
    draw = np.random.default_rng(0)
    n_byte = BLOCKS[number_type][1]
    blocks = draw.integers(0, 256, (n_out, 3, n_byte), dtype=np.uint8)
    n_half = 2 if number_type in ("Q4_1", "Q4_K") else 1
    halves = draw.normal(0, 0.1, (n_out, 3, n_half)).astype(np.float16)
    halves[0, 0], halves[1, 1] = 0, 6e-8  # the smallest number of float16
    blocks[..., : 2 * n_half] = halves.view(np.uint8)
    return QuantizedWeight(number_type, torch.from_numpy(blocks.reshape(n_out, -1)))


@pytest.mark.parametrize("number_type", BLOCKS)
def test_values_equal_those_of_the_gguf_package(number_type: str) -> None:
    kind = gguf.GGMLQuantizationType[number_type]
    assert gguf.GGML_QUANT_SIZES[kind] == BLOCKS[number_type]
    weight = random_weight(number_type)
    expected = gguf.dequantize(weight.rows.numpy(), kind)
    assert weight.shape == expected.shape
    np.testing.assert_array_equal(weight.values().numpy(), expected)


@pytest.mark.parametrize("number_type", BLOCKS)
def test_codes_of_4_bits_stand_for_the_same_values(number_type: str) -> None:
    weight = random_weight(number_type)
    total = torch.zeros(weight.shape, dtype=torch.float64)
    for part in weight.codes():
        assert 0 <= int(part.codes.min()) < 4
        assert 11 < int(part.codes.max()) <= 15
        groups = part.codes.view(len(part.codes), -1, GROUP).double()
        scales, offsets = part.scales.double()[..., None], part.offsets.double()[..., None]
        total += ((groups - 8) * scales + offsets).flatten(1)
    torch.testing.assert_close(total, weight.values().double(), rtol=1e-6, atol=1e-9)


def test_joined_weights_are_below_each_other() -> None:
    weight = random_weight("Q8_0")
    parts = [QuantizedWeight("Q8_0", weight.rows[:2]), QuantizedWeight("Q8_0", weight.rows[2:])]
    assert torch.equal(QuantizedWeight.joined(parts).values(), weight.values())


@pytest.mark.parametrize("number_type", BLOCKS)
def test_damaged_scales_are_found(number_type: str) -> None:
    weight = random_weight(number_type)
    assert weight.is_finite()
    for start in (0, 2) if number_type in ("Q4_1", "Q4_K") else (0,):
        rows = weight.rows.clone()
        first = BLOCKS[number_type][1] + start  # in the second block
        rows[3, first : first + 2] = 255
        assert not QuantizedWeight(number_type, rows).is_finite()


def test_the_blocks_that_tests_write_stand_for_nearly_the_same_numbers() -> None:
    matrix = np.random.default_rng(0).normal(size=(4, 512)).astype(np.float32)
    rows = torch.from_numpy(quantize(matrix, "Q4_K"))
    error = QuantizedWeight("Q4_K", rows).values() - torch.from_numpy(matrix)
    assert 0.05 < error.abs().max() < 0.35
