"""Normalisation: layer norm (Ba et al. 2016), RMS norm (Zhang & Sennrich 2019, eq. 4), and none but a scale and a shift (Sun et al. 2020)."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chatwright.model.hand_gradients import RMSNormalize

NormKind = Literal["rms", "layer", "affine"]


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight. (..., D) -> (..., D)."""

    def __init__(self, d_model: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():  # no backward pass to be fast for
            return F.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), self.eps)
        return RMSNormalize.apply(x, self.weight.to(x.dtype), self.eps)


class LayerNorm(nn.Module):
    """(x - mean) / sqrt(var + eps) * weight + bias. (..., D) -> (..., D)."""

    def __init__(self, d_model: int, eps: float = 1e-5, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model)) if bias else None
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return F.layer_norm(x, (x.shape[-1],), self.weight.to(x.dtype), bias, self.eps)


class Affine(nn.Module):
    """x * weight + bias: MobileBERT's NoNorm, which needs no statistics of the row. (..., D) -> (..., D)."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight.to(x.dtype) + self.bias.to(x.dtype)


def make_norm(kind: NormKind, d_model: int, eps: float) -> nn.Module:
    match kind:
        case "rms":
            return RMSNorm(d_model, eps)
        case "layer":
            return LayerNorm(d_model, eps)
        case "affine":
            return Affine(d_model)
