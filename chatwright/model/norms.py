"""Normalization layers.

Layer norm: Ba et al. 2016. RMS norm: Zhang & Sennrich 2019, eq. 4.
Affine (NoNorm): Sun et al. 2020.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chatwright.model.custom_autograd import RMSNormalize

NormKind = Literal["rms", "layer", "affine"]


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight. (..., D) -> (..., D)."""

    def __init__(self, d_model: int, eps: float = 1e-6) -> None:
        """Allocate the weight, all ones."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        # Without a backward pass, torch's rms_norm is faster than RMSNormalize.
        if not torch.is_grad_enabled():
            return F.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), self.eps)
        return RMSNormalize.apply(x, self.weight.to(x.dtype), self.eps)


class LayerNorm(nn.Module):
    """(x - mean) / sqrt(var + eps) * weight + bias. (..., D) -> (..., D)."""

    def __init__(self, d_model: int, eps: float = 1e-5, bias: bool = True) -> None:
        """Allocate the weight, all ones, and the bias, all zeros."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model)) if bias else None
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return F.layer_norm(x, (x.shape[-1],), self.weight.to(x.dtype), bias, self.eps)


class Affine(nn.Module):
    """x * weight + bias (MobileBERT's NoNorm): no mean, no variance. (..., D) -> (..., D)."""

    def __init__(self, d_model: int) -> None:
        """Allocate the weight, all ones, and the bias, all zeros."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model))

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        return x * self.weight.to(x.dtype) + self.bias.to(x.dtype)


def make_norm(kind: NormKind, d_model: int, eps: float) -> nn.Module:
    """Make a norm of the given kind for vectors of size d_model."""
    match kind:
        case "rms":
            return RMSNorm(d_model, eps)
        case "layer":
            return LayerNorm(d_model, eps)
        case "affine":
            return Affine(d_model)
