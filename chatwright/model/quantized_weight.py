"""A weight as a GGUF file stores it: codes of 4 or 8 bits in groups of 32 with scales of their own.

    Q4_0    (code - 8) * scale        codes 0 to 15
    Q4_1    code * scale + minimum    codes 0 to 15
    Q4_K    code * scale + minimum    codes 0 to 15; eight groups share two numbers for their scales
    Q8_0    code * scale              codes -128 to 127

Source: block_q4_0, block_q4_1, block_q4_K and block_q8_0 in llama.cpp's ggml-common.h.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

GROUP = 32
"""Weights that share a scale."""
BLOCKS = {"Q4_0": (32, 18), "Q4_1": (32, 20), "Q4_K": (256, 144), "Q8_0": (32, 34)}
"""Number type -> weights and bytes of a block."""


@dataclass(frozen=True)
class Codes:
    """Codes of 4 bits: a weight is (code - 8) * scale + offset."""

    codes: Tensor
    """(out, in), uint8, 0 to 15."""
    scales: Tensor
    """(out, in / 32), float32."""
    offsets: Tensor
    """(out, in / 32), float32."""


@dataclass(frozen=True)
class QuantizedWeight:
    """A weight (out, in) in one of the number types of BLOCKS."""

    number_type: str
    """llama.cpp's name of the type."""
    rows: Tensor
    """(out, bytes of a row), uint8: the blocks of each row."""

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the weight, (out, in)."""
        n_out, n_byte = self.rows.shape
        n_weight, n_block_byte = BLOCKS[self.number_type]
        return n_out, n_byte // n_block_byte * n_weight

    def codes(self) -> list[Codes]:
        """Return matrices of 4-bit codes whose sum is the weight: one, or two for Q8_0.

        An 8-bit code is 16 * high + low, and both have 4 bits. So the kernel for 4 bits can compute
        with it.
        """
        stored, scales, minima = self._read()
        codes = stored.flatten(1)
        if self.number_type == "Q8_0":
            # Flipping the sign bit adds 128, so that the high 4 bits count from 0.
            high, low = (codes ^ 128) >> 4, codes & 15
            return [
                Codes(high, 16 * scales, torch.zeros_like(scales)),
                Codes(low, scales, 8 * scales),
            ]
        if minima is None:
            return [Codes(codes, scales, torch.zeros_like(scales))]
        return [Codes(codes, scales, minima + 8 * scales)]

    def values(self) -> Tensor:
        """Return the weights that the codes stand for, as llama.cpp computes them. -> float32."""
        stored, scales, minima = self._read()
        if self.number_type == "Q8_0":
            codes = stored.view(torch.int8).float()
        else:
            codes = stored.float() - 8 if minima is None else stored.float()
        products = codes * scales[..., None]
        return (products if minima is None else products + minima[..., None]).flatten(1)

    def is_finite(self) -> bool:
        """Return whether all weights are finite; the scales of a damaged file may not be."""
        _, scales, minima = self._read()
        return all(bool(one.isfinite().all()) for one in (scales, minima) if one is not None)

    @staticmethod
    def joined(weights: Sequence["QuantizedWeight"]) -> "QuantizedWeight":
        """Put weights of one number type below each other."""
        (number_type,) = {weight.number_type for weight in weights}
        return QuantizedWeight(number_type, torch.cat([weight.rows for weight in weights]))

    def _read(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the codes as stored, the scales, and the minima of types that have them.

        (out, n, 32) uint8, (out, n) and (out, n) float32, for n groups in a row.
        """
        blocks = self.rows.view(len(self.rows), -1, BLOCKS[self.number_type][1])
        scales = _halves(blocks, 0)
        match self.number_type:
            case "Q8_0":
                return blocks[..., 2:].contiguous(), scales, None
            case "Q4_0":
                return _nibbles(blocks[..., 2:]), scales, None
            case "Q4_1":
                return _nibbles(blocks[..., 4:]), scales, _halves(blocks, 2)
            case _:
                factors, min_factors = _six_bit_factors(blocks[..., 4:16])
                minima = -(_halves(blocks, 2)[..., None] * min_factors)
                codes = _nibbles(blocks[..., 16:].unflatten(-1, (4, GROUP)))
                return (
                    codes.view(len(codes), -1, GROUP),
                    (scales[..., None] * factors).flatten(1),
                    minima.flatten(1),
                )


def _nibbles(stored: Tensor) -> Tensor:
    """Return the low 4 bits of all bytes, then the high ones. (..., n) -> (..., 2 n)."""
    return torch.cat([stored & 15, stored >> 4], dim=-1)


def _halves(blocks: Tensor, start: int) -> Tensor:
    """Read a float16 number of every block as float32. (out, n, bytes) -> (out, n)."""
    return blocks[..., start : start + 2].contiguous().view(torch.float16)[..., 0].float()


def _six_bit_factors(packed: Tensor) -> tuple[Tensor, Tensor]:
    """Return the factors of the scales and of the minima of eight groups. (..., 12) -> (..., 8).

    The first eight bytes hold the factors of the first four groups in their low 6 bits. The others'
    low 4 bits are in the last four bytes, and their high 2 bits are above those 6 bits.
    """
    scales, minima, low = packed.split(4, dim=-1)
    return (
        torch.cat([scales & 63, (low & 15) | (scales >> 6 << 4)], dim=-1).float(),
        torch.cat([minima & 63, (low >> 4) | (minima >> 6 << 4)], dim=-1).float(),
    )
