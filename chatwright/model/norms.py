"""Normalization layers.

Layer norm: Ba et al. 2016. RMS norm: Zhang & Sennrich 2019, eq. 4.
Affine (NoNorm): Sun et al. 2020.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chatwright.model.custom_autograd import RMSNormalize, rms_scale

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
        if not torch.is_grad_enabled():  # without the costs of a custom backward pass
            return normalized(x, self.weight, self.eps)
        return RMSNormalize.apply(x, self.weight.to(x.dtype), self.eps)


def normalized(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Compute what `RMSNorm` does, without a gradient. (..., D) -> (..., D).

    In float32 the bits are those of torch's rms_norm, so an imported model computes what it does
    elsewhere; rms_norm is slower at many tokens. The weight has any shape that broadcasts.
    """
    if x.dtype == torch.float32:
        scale = (x * x).mean(-1, keepdim=True).add_(eps).rsqrt_()
    else:
        scale = rms_scale(x, eps)
    return (x * scale).mul_(weight.to(x.dtype))


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
