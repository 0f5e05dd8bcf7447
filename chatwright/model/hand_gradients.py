"""Operations whose backward pass is written by hand, because torch's own is several times slower on a CPU.

Each is the plain formula forward; tests hold values and gradients to torch's autograd of that formula. Memory: `SoftmaxAttention`
keeps the weights (B, H, T, S) for the backward pass, which is quadratic in T; the caller takes the fused kernel for long rows.
"""

from typing import Any

import torch
from torch import Tensor


class RMSNormalize(torch.autograd.Function):
    """x / sqrt(mean(x^2) + eps) * weight, over the last dimension. torch's rms_norm makes five passes here; this makes two."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        scale = torch.rsqrt(norm.square() / x.shape[-1] + eps)  # (..., 1)
        normed = x * scale
        ctx.save_for_backward(normed, scale, weight)
        return normed * weight

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        normed, scale, weight = ctx.saved_tensors
        grad_weight = (grad * normed).flatten(0, -2).sum(0)
        grad = grad * weight
        mean = (grad * normed).mean(-1, keepdim=True)
        return torch.addcmul(grad, normed, mean, value=-1).mul_(scale), grad_weight, None


class Rotate(torch.autograd.Function):
    """Turn each pair (x_i, x_{i + Dh/2}) by its angle; the gradient turns back. cos, sin: half width, broadcast against x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        left, right = x.chunk(2, dim=-1)
        return torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        left, right = grad.chunk(2, dim=-1)
        return torch.cat([left * cos + right * sin, right * cos - left * sin], dim=-1), None, None


class SquaredReLU(torch.autograd.Function):
    """max(x, 0)^2."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        positive = torch.relu(x)
        ctx.save_for_backward(positive)
        return positive * positive

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        [positive] = ctx.saved_tensors
        return (grad * positive).mul_(2)


class SwishGate(torch.autograd.Function):
    """silu(gate) * up, the middle of SwiGLU. The sigmoid is computed once for both passes."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        sigmoid = torch.sigmoid(gate)
        swish = gate * sigmoid
        ctx.save_for_backward(sigmoid, swish, up)
        return swish * up

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        sigmoid, swish, up = ctx.saved_tensors
        slope = torch.addcmul(sigmoid, swish, 1 - sigmoid)  # d silu(g)/dg
        return (grad * up).mul_(slope), grad * swish


class SoftmaxAttention(torch.autograd.Function):
    """softmax(q k^T + bias) v. q (B, H, T, Dh) already scaled, k and v (B, H, S, Dh), bias (1 or B, 1, T, S) -> (B, H, T, Dh)."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        B, H, T, Dh = q.shape
        q, k, v = (t.reshape(B * H, t.shape[2], Dh) for t in (q, k, v))
        if bias.shape[0] == 1:
            scores = torch.baddbmm(bias[0], q, k.mT)  # (B*H, T, S)
        else:
            scores = torch.bmm(q, k.mT)
            scores.view(B, H, T, -1).add_(bias)
        weights = torch.softmax(scores, dim=-1)
        ctx.save_for_backward(q, k, v, weights)
        return torch.bmm(weights, v).view(B, H, T, Dh)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q, k, v, weights = ctx.saved_tensors
        B, H, T, Dh = grad.shape
        grad = grad.reshape(B * H, T, Dh)
        grad_scores = torch._softmax_backward_data(
            torch.bmm(grad, v.mT), weights, -1, weights.dtype
        )
        grad_q, grad_k, grad_v = (
            torch.bmm(grad_scores, k),
            torch.bmm(grad_scores.mT, q),
            torch.bmm(weights.mT, grad),
        )
        return grad_q.view(B, H, -1, Dh), grad_k.view(B, H, -1, Dh), grad_v.view(B, H, -1, Dh), None
