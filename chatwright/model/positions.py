"""Where a token stands: sine/cosine, learned, rotary and binary positions.

Sine/cosine: Vaswani et al. 2017, section 3.5. Rotary: Su et al. 2021, eq. 34, in the half-split layout of the open models; its scaling to
longer texts: linear (Chen et al. 2023), llama3 (Llama team 2024, as published with the 3.1 weights).
Binary: the lecture's 0001, 0010, ...: the position's bits as a vector, the picture from which sine/cosine is a smooth version.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chatwright.model.hand_gradients import Rotate

PositionKind = Literal["rotary", "learned", "sinusoidal", "sinusoidal_halves", "binary", "none"]
Rotary = tuple[
    Tensor, Tensor
]  # cos, sin: each (B or 1, 1, T, Dh/2), ready for the halves of (B, H, T, Dh)


def sinusoidal(n_position: int, d_model: int) -> Tensor:
    """(n_position, D): even columns sin(p / 10000^(i/D)), odd columns the cosine of the same angle."""
    # In float64: a float32 angle of some hundred radians has lost the digits that its sine is made of.
    rates = torch.exp(
        -math.log(10_000.0) * torch.arange(0, d_model, 2, dtype=torch.float64) / d_model
    )  # (D/2,)
    angles = torch.arange(n_position)[:, None] * rates  # (P, D/2)
    table = torch.empty(n_position, d_model)
    table[:, 0::2], table[:, 1::2] = angles.sin(), angles.cos()[:, : d_model // 2]
    return table


def sinusoidal_halves(n_position: int, d_model: int) -> Tensor:
    """The same numbers with all sines before all cosines: the order of tensor2tensor, fairseq and MarianMT. (n_position, D)."""
    table = sinusoidal(n_position, d_model)
    return torch.cat([table[:, 0::2], table[:, 1::2]], dim=1)


def binary(n_position: int, d_model: int) -> Tensor:
    """(n_position, D): the bits of p, most significant first, right-aligned: 1 -> ...0001, 2 -> ...0010."""
    places = torch.arange(d_model - 1, -1, -1)
    return ((torch.arange(n_position)[:, None] >> places.clamp(max=62)) & (places < 63)).float()


@dataclass(frozen=True, kw_only=True)
class RotaryScaling:
    """How a model trained on short texts is turned to read longer ones: its slow angles are slowed by `factor`."""

    kind: Literal["linear", "llama3"]
    factor: float
    original_length: int = 8192  # llama3: what the model read before
    low: float = 1.0  # llama3: angles that turn less often than this over the original length are slowed wholly,
    high: float = 4.0  # those that turn more often than this not at all

    def __post_init__(self) -> None:
        if not self.factor >= 1.0:
            raise ValueError(f"factor ({self.factor}) must be at least 1")
        if self.original_length < 1 or not 0.0 < self.low < self.high:
            raise ValueError(
                f"original_length ({self.original_length}) must be at least 1, low ({self.low}) above 0 and below high ({self.high})"
            )

    def scaled(self, rates: Tensor) -> Tensor:
        if self.kind == "linear":
            return rates / self.factor
        turns = self.original_length * rates / (2 * math.pi)
        kept = ((turns - self.low) / (self.high - self.low)).clamp(
            0.0, 1.0
        )  # 1 where fast, 0 where slow, a line between
        return kept * rates + (1 - kept) * rates / self.factor


class RotaryTable(nn.Module):
    """Angles for every position; `forward` gathers them per token, so ragged batches work."""

    cos: Tensor
    sin: Tensor

    def __init__(
        self, n_position: int, head_dim: int, base: float, scaling: RotaryScaling | None = None
    ) -> None:
        super().__init__()
        cos, sin = _cos_and_sin(n_position, head_dim, base, scaling)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, positions: Tensor | None, n_token: int, dtype: torch.dtype) -> Rotary:
        """positions (B, T), or None for 0..T-1 in every row."""
        if positions is None:
            return self.cos[None, None, :n_token].to(dtype), self.sin[None, None, :n_token].to(
                dtype
            )
        return self.cos[positions][:, None].to(dtype), self.sin[positions][:, None].to(dtype)


def _cos_and_sin(
    n_position: int, head_dim: int, base: float, scaling: RotaryScaling | None
) -> tuple[Tensor, Tensor]:
    """(P, Dh/2) each."""
    if _only_shapes_matter():
        return torch.empty(n_position, head_dim // 2), torch.empty(n_position, head_dim // 2)
    # One over the power, as the open models have it: a negative power differs in the last bit, which thousands of positions multiply.
    rates = 1.0 / base ** (torch.arange(0, head_dim, 2).float() / head_dim)  # (Dh/2,)
    angles = torch.arange(n_position).float()[:, None] * (
        rates if scaling is None else scaling.scaled(rates)
    )
    return angles.cos(), angles.sin()


def _only_shapes_matter() -> bool:
    """On torch's meta device nothing is computed, and the first operation there takes seconds to import what it would need."""
    return torch.get_default_device().type == "meta"


FIXED_TABLES = {"sinusoidal": sinusoidal, "sinusoidal_halves": sinusoidal_halves, "binary": binary}


class FixedPositions(nn.Module):
    """A table that nobody trains and no file holds: it is computed again wherever it is needed. (B, T) -> (B, T, D)."""

    weight: Tensor

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", table, persistent=False)

    def forward(self, positions: Tensor) -> Tensor:
        return F.embedding(positions, self.weight)


def make_positions(
    kind: PositionKind,
    n_position: int,
    d_model: int,
    head_dim: int,
    rotary_base: float,
    rotary_scaling: RotaryScaling | None = None,
) -> tuple[nn.Embedding | FixedPositions | None, RotaryTable | None]:
    """What is added to the embeddings, and what turns queries and keys: one of them, or neither. Learned ones have no values yet."""
    if kind == "rotary":
        return None, RotaryTable(n_position, head_dim, rotary_base, rotary_scaling)
    if kind == "none":
        return None, None
    if fixed := FIXED_TABLES.get(kind):
        return FixedPositions(
            torch.empty(n_position, d_model)
            if _only_shapes_matter()
            else fixed(n_position, d_model)
        ), None
    return nn.Embedding(n_position, d_model, _weight=torch.empty(n_position, d_model)), None


def rotate(x: Tensor, rotary: Rotary) -> Tensor:
    """Turn each pair (x_i, x_{i + Dh/2}) by its position's angle. (B, H, T, Dh) -> (B, H, T, Dh)."""
    return Rotate.apply(x, *rotary)
