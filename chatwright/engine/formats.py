"""Formats that store weights in fewer bits, for inference on a CPU: int8, int4 and gguf.

    float32   the model's own numbers; the default
    int8      8 bits per weight, one scale per output; inputs as integers of two 7-bit digits
    int4      4 bits per weight, scale and offset per 32 weights; inputs and outputs in bfloat16
    gguf      the codes of a GGUF file, 4 or 8 bits per weight, with the kernel of int4

In every format the bits of a row do not depend on the other rows: int8 sums integers, and the
kernel of int4 computes each row alone. `batch_invariance` checks it on your machine.

A model's head is int8 in int4 and gguf, because bfloat16 is too coarse for logits.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.errors import InputError
from chatwright.model.packed_weight import (
    FLOAT32,
    FusedActivation,
    PackedWeight,
    WeightFormat,
    activate_rows,
)
from chatwright.model.quantized_weight import GROUP, Codes, QuantizedWeight

BASE = 64
"""Values of a digit. Without VNNI the processor adds two products in 16 bits, so an input may have
7 bits at most: 2 x 127 x 127 fits, 2 x 255 x 127 does not."""
LARGEST = (BASE - 1) * BASE
"""The largest input of a row becomes this integer."""
STEPS = torch.tensor([BASE - 1.0, LARGEST]).view(2, 1, 1)
"""What the largest input of a row becomes in steps of a high digit, and of a low one."""
LARGEST_WEIGHT = 127
LARGEST_CODE = 15


class SmallWeight(ABC):
    """A weight (out, in) in fewer bits; bias and activation are computed after the product."""

    nbytes: int

    @abstractmethod
    def product(self, rows: Tensor) -> Tensor:
        """Compute x W^T. (N, in) -> (N, out)."""

    def matmul(self, x: Tensor, bias: Tensor | None, activation: FusedActivation) -> Tensor:
        """Compute activation(x W^T + bias). (..., in) -> (..., out)."""
        out = self.product(x.reshape(-1, x.shape[-1]))
        out = activate_rows(out if bias is None else out + bias, activation)
        return out.view(*x.shape[:-1], -1)

    def times(self, x: Tensor, bias: Tensor | None, factor: Tensor) -> Tensor:
        """Compute (x W^T + bias) * factor. (..., in), (..., out) -> (..., out)."""
        return self.matmul(x, bias, "none").mul_(factor)


class Int8Weight(SmallWeight):
    """A weight (out, in) as 8-bit integers with one scale per output."""

    def __init__(self, weight: Tensor) -> None:
        """Quantize a weight: each row is divided so that its largest number becomes 127."""
        self.scales = weight.abs().amax(dim=1).clamp_min_(1e-30) / LARGEST_WEIGHT  # (out,)
        quantized = (weight / self.scales[:, None]).round_().to(torch.int8)
        self.weight: Tensor = torch.ops.onednn.qlinear_prepack(quantized, None)
        self.zeros = torch.zeros(len(weight), dtype=torch.int64)
        self.nbytes = quantized.nbytes + self.scales.nbytes + self.zeros.nbytes

    def product(self, rows: Tensor) -> Tensor:
        """Compute x W^T. (N, in) -> (N, out).

        Inputs become integers, input = scale * (BASE * high + low), and both digits are rows of one
        integer product.
        """
        n_row = len(rows)
        largest = torch.linalg.vector_norm(rows, math.inf, dim=1, keepdim=True)
        scales = largest.clamp_min_(1e-30) / STEPS  # (2, N, 1), those of the high and low digits
        # In place: fresh temporaries took more than half of the time at 32 rows.
        digits = torch.div(rows, scales).round_()  # (2, N, in), the low ones with the high ones
        digits[1].sub_(digits[0], alpha=BASE)
        digits = digits.add_(BASE).view(2 * n_row, -1).to(torch.uint8)
        products: Tensor = torch.ops.onednn.qlinear_pointwise(
            digits,
            1.0,
            BASE,
            self.weight,
            self.scales,
            self.zeros,
            None,
            1.0,
            0,
            torch.float32,
            "none",
            [],
            "",
        )  # (2 N, out)
        return torch.add(products[n_row:], products[:n_row], alpha=BASE).mul_(scales[1])


class Int8(WeightFormat):
    """8-bit weights with one scale per output."""

    name = "int8"
    error = "weights are rounded to 255 steps per output; inputs to 8,065 steps per row"
    joins_gates = True  # rounding the input once costs less than twice

    @property
    def head(self) -> "Int8":
        """The format of the head."""
        return self

    def obstacle(self) -> str:
        """Return why this machine cannot use the format; "" if it can."""
        if FLOAT32.obstacle():
            return FLOAT32.obstacle()
        has_kernel = hasattr(torch.ops.onednn, "qlinear_prepack")
        return "" if has_kernel else "this build of torch has no 8-bit kernel for CPUs"

    def pack(self, weight: Tensor) -> Int8Weight:
        """Quantize and pack a weight (out, in)."""
        return Int8Weight(weight)


class Int4Weight(SmallWeight):
    """A weight (out, in) as 4-bit codes with a scale and an offset per group of 32."""

    def __init__(self, codes: Tensor, scales: Tensor, offsets: Tensor) -> None:
        """Pack codes: a weight is (code - 8) * scale + offset.

        Args:
            codes: (out, in), 0 to 15.
            scales: (out, in / 32); rounded to bfloat16, as the kernel needs.
            offsets: (out, in / 32); rounded likewise.
        """
        self.n_out = len(codes)
        missing = -self.n_out % GROUP  # the kernel takes outputs in blocks
        self.weight: Tensor = torch.ops.aten._convert_weight_to_int4pack_for_cpu(
            F.pad(codes.int(), (0, 0, 0, missing)), 1
        )
        pairs = torch.stack([scales.T, offsets.T], dim=-1).bfloat16()  # (in / 32, out, 2)
        self.scales_and_offsets = F.pad(pairs, (0, 0, 0, missing)).contiguous()
        self.nbytes = self.weight.nbytes + self.scales_and_offsets.nbytes

    @classmethod
    def rounded(cls, weight: Tensor) -> "Int4Weight":
        """Quantize a weight: a group's smallest number becomes code 0, its largest code 15."""
        groups = weight.view(len(weight), -1, GROUP)
        low, high = groups.amin(dim=-1), groups.amax(dim=-1)
        scales = ((high - low) / LARGEST_CODE).bfloat16().float()
        offsets = (low + 8 * scales).bfloat16().float()
        distances = groups - offsets[..., None]
        steps = scales.clamp_min(1e-30)[..., None]
        codes = (distances / steps).round_().add_(8).clamp_(0, LARGEST_CODE)
        return cls(codes.flatten(1), scales, offsets)

    def product(self, rows: Tensor) -> Tensor:
        """Compute x W^T. (N, in) -> (N, out)."""
        out: Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(
            rows.bfloat16(), self.weight, GROUP, self.scales_and_offsets
        )
        return out[:, : self.n_out].float()


class Int4(WeightFormat):
    """4-bit weights in groups of 32, with an int8 head."""

    name = "int4"
    error = "weights are rounded to 16 steps per 32 weights; inputs and outputs to bfloat16"
    joins_gates = True
    head = Int8()

    def obstacle(self) -> str:
        """Return why this machine cannot use the format; "" if it can."""
        if self.head.obstacle():
            return self.head.obstacle()
        if not hasattr(torch.ops.aten, "_weight_int4pack_mm_for_cpu"):
            return "this build of torch has no 4-bit kernel for CPUs"
        if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
            return "torch's 4-bit kernel is fast with AVX2 or AVX-512 only"
        return ""

    def pack(self, weight: Tensor) -> PackedWeight:
        """Quantize and pack a weight (out, in); as int8 where rows are not whole groups."""
        return Int8Weight(weight) if weight.shape[1] % GROUP else Int4Weight.rounded(weight)


class SplitInt8Weight(SmallWeight):
    """A weight of 8-bit codes as the sum of two weights of 4-bit codes."""

    def __init__(self, parts: Sequence[Codes]) -> None:
        """Pack the parts below each other."""
        self.n_out = len(parts[0].codes)
        self.both = Int4Weight(
            torch.cat([part.codes for part in parts]),
            torch.cat([part.scales for part in parts]),
            torch.cat([part.offsets for part in parts]),
        )
        self.nbytes = self.both.nbytes

    def product(self, rows: Tensor) -> Tensor:
        """Compute x W^T. (N, in) -> (N, out)."""
        products = self.both.product(rows)
        return products[:, : self.n_out] + products[:, self.n_out :]


class Gguf(Int4):
    """The codes of a GGUF file in Q4_0, Q4_1, Q4_K and Q8_0 that its import kept; else int8."""

    name = "gguf"
    error = "codes of the GGUF file; scales, inputs and outputs are rounded to bfloat16"
    keeps_quantized = True

    def pack(self, weight: Tensor) -> PackedWeight:
        """Quantize and pack a weight (out, in) that the file stores in another type."""
        return Int8Weight(weight)

    def pack_quantized(self, weight: QuantizedWeight) -> PackedWeight:
        """Pack the codes of the file."""
        parts = weight.codes()
        if len(parts) > 1:
            return SplitInt8Weight(parts)
        return Int4Weight(parts[0].codes, parts[0].scales, parts[0].offsets)


_FORMATS: tuple[WeightFormat, ...] = (FLOAT32, Int8(), Int4(), Gguf())
FORMATS: dict[str, WeightFormat] = {one.name: one for one in _FORMATS}


def keeps_quantized(name: str) -> bool:
    """Return whether a format computes with the codes of a GGUF file."""
    return name in FORMATS and FORMATS[name].keeps_quantized


def weight_format(name: str) -> WeightFormat:
    """Return the format with this name.

    Raises:
        InputError: There is no such format, or this machine cannot use it.
    """
    usable = [one.name for one in FORMATS.values() if not one.obstacle()]
    remedy = f"Use one of: {', '.join(usable)}." if usable else "Leave the option out."
    if name not in FORMATS:
        raise InputError(
            f"weights = {name!r} is not a format of weights.",
            remedy=remedy,
            field="weights",
            value=name,
        )
    found = FORMATS[name]
    if name != FLOAT32.name and (obstacle := found.obstacle()):
        raise InputError(
            f"weights = {name!r} cannot be used on this machine: {obstacle}.",
            remedy=remedy,
            field="weights",
            value=name,
        )
    return found
