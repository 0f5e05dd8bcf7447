"""A weight as a GGUF file stores it: 4-bit or 8-bit codes in blocks of 32 with scales of their own.

    Q4_0    (code - 8) * scale        codes 0 to 15
    Q4_1    code * scale + minimum    codes 0 to 15
    Q8_0    code * scale              codes -128 to 127

Source: block_q4_0, block_q4_1 and block_q8_0 in llama.cpp's ggml-common.h.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 32
"""Weights that share a scale."""
BLOCK_BYTES = {"Q4_0": 2 + 16, "Q4_1": 2 + 2 + 16, "Q8_0": 2 + 32}
"""Bytes of a block: a scale, a minimum in Q4_1, both in float16, and the codes."""


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
    """A weight (out, in) in one of the number types of BLOCK_BYTES."""

    number_type: str
    """llama.cpp's name of the type."""
    rows: Tensor
    """(out, bytes of a row), uint8: the blocks of each row."""

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the weight, (out, in)."""
        n_out, n_byte = self.rows.shape
        return n_out, n_byte // BLOCK_BYTES[self.number_type] * BLOCK

    def codes(self) -> list[Codes]:
        """Return matrices of 4-bit codes whose sum is the weight: one, or two for Q8_0.

        An 8-bit code is 16 * high + low, and both have 4 bits. So the kernel for 4 bits can compute
        with it.
        """
        blocks = self.rows.view(len(self.rows), -1, BLOCK_BYTES[self.number_type])
        scales = self._halves(blocks, 0)
        if self.number_type == "Q8_0":
            stored = blocks[..., 2:].flatten(1)
            # Flipping the sign bit adds 128, so that the high 4 bits count from 0.
            high, low = (stored ^ 128) >> 4, stored & 15
            return [
                Codes(high, 16 * scales, torch.zeros_like(scales)),
                Codes(low, scales, 8 * scales),
            ]
        n_scale = BLOCK_BYTES[self.number_type] - BLOCK // 2
        stored = blocks[..., n_scale:]
        codes = torch.cat([stored & 15, stored >> 4], dim=-1).flatten(1)
        if self.number_type == "Q4_0":
            return [Codes(codes, scales, torch.zeros_like(scales))]
        return [Codes(codes, scales, self._halves(blocks, 2) + 8 * scales)]

    def values(self) -> Tensor:
        """Return the weights that the codes stand for, as llama.cpp computes them. -> float32."""
        blocks = self.rows.view(len(self.rows), -1, BLOCK_BYTES[self.number_type])
        scales = self._halves(blocks, 0)[..., None]
        if self.number_type == "Q8_0":
            return (blocks[..., 2:].view(torch.int8).float() * scales).flatten(1)
        codes = self.codes()[0].codes.view(*scales.shape[:2], BLOCK)
        if self.number_type == "Q4_0":
            return ((codes.float() - 8) * scales).flatten(1)
        return (codes.float() * scales + self._halves(blocks, 2)[..., None]).flatten(1)

    def is_finite(self) -> bool:
        """Return whether all weights are finite; the scales of a damaged file may not be."""
        blocks = self.rows.view(len(self.rows), -1, BLOCK_BYTES[self.number_type])
        starts = (0, 2) if self.number_type == "Q4_1" else (0,)
        return all(bool(self._halves(blocks, start).isfinite().all()) for start in starts)

    @staticmethod
    def joined(weights: Sequence["QuantizedWeight"]) -> "QuantizedWeight":
        """Put weights of one number type below each other."""
        (number_type,) = {weight.number_type for weight in weights}
        return QuantizedWeight(number_type, torch.cat([weight.rows for weight in weights]))

    @staticmethod
    def _halves(blocks: Tensor, start: int) -> Tensor:
        """Read a float16 number of every block as float32. (out, n, bytes) -> (out, n)."""
        return blocks[..., start : start + 2].contiguous().view(torch.float16)[..., 0].float()
