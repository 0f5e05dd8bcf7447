"""Position encodings: sine/cosine, learned, rotary and binary.

Sine/cosine: Vaswani et al. 2017, section 3.5. Rotary: Su et al. 2021, eq. 34; the two numbers of a
pair are Dh/2 apart, as in Transformers. Scaling of rotary frequencies for longer texts: linear
(Chen et al. 2023), llama3 (Llama team 2024, as published with the weights of Llama 3.1). Binary:
the bits of the position; sine/cosine is a continuous version of them.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chatwright.errors import InputError
from chatwright.model.custom_autograd import Rotate, rotated

PositionKind = Literal["rotary", "learned", "sinusoidal", "sinusoidal_halves", "binary", "none"]

# (cos, cos) and (-sin, sin) of the angles, each (B or 1, 1, T, Dh): they broadcast against
# (B, H, T, Dh).
Rotary = tuple[Tensor, Tensor]


def sinusoidal(n_position: int, d_model: int) -> Tensor:
    """Compute sin(p / 10000^(i/D)) in even columns and the cosine of the same angle in odd ones.

    Returns (n_position, D).
    """
    # In float64: at angles of hundreds of radians, float32 is too coarse for an exact sine.
    rates = torch.exp(
        -math.log(10_000.0) * torch.arange(0, d_model, 2, dtype=torch.float64) / d_model
    )  # (D/2,)
    angles = torch.arange(n_position)[:, None] * rates  # (n_position, D/2)
    table = torch.empty(n_position, d_model)
    table[:, 0::2] = angles.sin()
    table[:, 1::2] = angles.cos()[:, : d_model // 2]
    return table


def sinusoidal_halves(n_position: int, d_model: int) -> Tensor:
    """Compute `sinusoidal` with all sines before all cosines, as in tensor2tensor and MarianMT.

    Returns (n_position, D).
    """
    table = sinusoidal(n_position, d_model)
    return torch.cat([table[:, 0::2], table[:, 1::2]], dim=1)


def binary(n_position: int, d_model: int) -> Tensor:
    """Write each position in bits, the last column lowest: 1 is ...0001, 2 is ...0010.

    Returns (n_position, D).
    """
    bits = torch.arange(d_model - 1, -1, -1)
    positions = torch.arange(n_position)[:, None]
    return ((positions >> bits.clamp(max=62)) & (bits < 63)).float()


@dataclass(frozen=True, kw_only=True)
class RotaryScaling:
    """How rotary frequencies are lowered for texts longer than those in training."""

    kind: Literal["linear", "llama3"]
    """linear: divide all frequencies by `factor`. llama3: divide the low ones only."""
    factor: float
    """Divisor of the frequencies."""
    original_length: int = 8192
    """llama3: longest text in training, in tokens."""
    low: float = 1.0
    """llama3: frequencies with fewer turns than this over original_length are divided."""
    high: float = 4.0
    """llama3: frequencies with more turns than this stay. Those between are interpolated."""

    def __post_init__(self) -> None:
        if not self.factor >= 1.0:
            raise self._refused("factor", "must be at least 1.")
        if self.original_length < 1:
            raise self._refused("original_length", "must be at least 1.")
        if not 0.0 < self.low < self.high:
            raise self._refused("low", f"must be above 0 and below high ({self.high}).")

    def _refused(self, name: str, reason: str) -> InputError:
        value = getattr(self, name)
        return InputError(
            f"{name} ({value}) {reason}",
            remedy="Take the value from the config.json of the published model.",
            field=name,
            value=value,
        )

    def scaled(self, rates: Tensor) -> Tensor:
        """Scale frequencies, in radians per position. (Dh/2,) -> (Dh/2,)."""
        if self.kind == "linear":
            return rates / self.factor
        turns = self.original_length * rates / (2 * math.pi)
        # 1 for high frequencies, 0 for low ones, linear in between.
        kept = ((turns - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
        return kept * rates + (1 - kept) * rates / self.factor


class RotaryTable(nn.Module):
    """Cosines and sines of every position's angles; `forward` looks them up per token."""

    cos: Tensor
    sin: Tensor

    def __init__(
        self, n_position: int, head_dim: int, base: float, scaling: RotaryScaling | None = None
    ) -> None:
        """Compute the tables, (n_position, Dh) each."""
        super().__init__()
        cos, sin = _cos_and_sin(n_position, head_dim, base, scaling)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, positions: Tensor | None, n_token: int, dtype: torch.dtype) -> Rotary:
        """Look up positions (B, T), or 0..n_token-1 for every row if positions is None."""
        if positions is None:
            cos, sin = self.cos[None, None, :n_token], self.sin[None, None, :n_token]
        else:
            cos, sin = self.cos[positions][:, None], self.sin[positions][:, None]
        return cos.to(dtype), sin.to(dtype)


def _cos_and_sin(
    n_position: int, head_dim: int, base: float, scaling: RotaryScaling | None
) -> tuple[Tensor, Tensor]:
    """Compute the tables of `RotaryTable`."""
    if _is_meta_default():
        shape = (n_position, head_dim)
        return torch.empty(shape), torch.empty(shape)
    # As Transformers computes it: base ** -x would differ in the last bit, and multiplying it by
    # positions in the thousands makes that difference large.
    rates = 1.0 / base ** (torch.arange(0, head_dim, 2).float() / head_dim)  # (Dh/2,)
    if scaling is not None:
        rates = scaling.scaled(rates)
    angles = torch.arange(n_position).float()[:, None] * rates
    cos, sin = angles.cos(), angles.sin()  # (n_position, Dh/2)
    return torch.cat([cos, cos], dim=1), torch.cat([-sin, sin], dim=1)


def _is_meta_default() -> bool:
    """Whether the default device is torch's meta device, where only shapes matter.

    The first computation there imports modules for seconds, so tables get no values.
    """
    return torch.get_default_device().type == "meta"


FIXED_TABLES = {"sinusoidal": sinusoidal, "sinusoidal_halves": sinusoidal_halves, "binary": binary}


class FixedPositions(nn.Module):
    """A computed table of positions, neither trained nor saved. (B, T) -> (B, T, D)."""

    weight: Tensor

    def __init__(self, table: Tensor) -> None:
        """Take the table (n_position, D)."""
        super().__init__()
        self.register_buffer("weight", table, persistent=False)

    def forward(self, positions: Tensor) -> Tensor:
        """Look up positions. (B, T) -> (B, T, D)."""
        return F.embedding(positions, self.weight)


def make_positions(
    kind: PositionKind,
    n_position: int,
    d_model: int,
    head_dim: int,
    rotary_base: float,
    rotary_scaling: RotaryScaling | None = None,
) -> tuple[nn.Embedding | FixedPositions | None, RotaryTable | None]:
    """Make a table to add to the embeddings (first) or one to rotate queries and keys (second).

    The other of the two is None; for kind "none" both are. A learned table has no values yet.
    """
    if kind == "rotary":
        return None, RotaryTable(n_position, head_dim, rotary_base, rotary_scaling)
    if kind == "none":
        return None, None
    if kind in FIXED_TABLES:
        if _is_meta_default():
            return FixedPositions(torch.empty(n_position, d_model)), None
        return FixedPositions(FIXED_TABLES[kind](n_position, d_model)), None
    return nn.Embedding(n_position, d_model, _weight=torch.empty(n_position, d_model)), None


def rotate(x: Tensor, rotary: Rotary) -> Tensor:
    """Rotate each pair (x_i, x_{i + Dh/2}) by its angle. (B, H, T, Dh) -> (B, H, T, Dh)."""
    if not torch.is_grad_enabled():  # without the costs of a custom backward pass
        return rotated(x, *rotary)
    return Rotate.apply(x, *rotary)
