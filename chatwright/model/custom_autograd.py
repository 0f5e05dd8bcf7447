"""Custom autograd functions: their backward passes are several times faster on a CPU than torch's.

The first line of each class is its formula. Tests compare values and gradients with autograd's.
`SoftmaxAttention` keeps the weights (B, H, T, S) for the backward pass. Their memory is quadratic
in T, so callers use torch's fused kernel for long sequences.
"""

from typing import Any

import torch
from torch import Tensor


def rms_scale(x: Tensor, eps: float) -> Tensor:
    """Compute 1 / sqrt(mean(x^2) + eps) of each vector. (..., D) -> (..., 1)."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    # In place, and a product instead of a power: on few numbers each operation counts.
    return norm.mul_(norm).div_(x.shape[-1]).add_(eps).rsqrt_()


class RMSNormalize(torch.autograd.Function):
    """x / sqrt(mean(x^2) + eps) * weight, over the last dimension.

    The backward pass reuses the normalized input and the scale.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        """Normalize. (..., D), (D,) -> (..., D)."""
        scale = rms_scale(x, eps)
        normed = x * scale
        ctx.save_for_backward(normed, scale, weight)
        return normed * weight

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        """Return the gradients of x and weight."""
        normed, scale, weight = ctx.saved_tensors
        grad_weight = (grad * normed).flatten(0, -2).sum(0)
        grad = grad * weight
        mean = (grad * normed).mean(-1, keepdim=True)
        return torch.addcmul(grad, normed, mean, value=-1).mul_(scale), grad_weight, None


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate each pair (x_i, x_{i + Dh/2}) by its angle. Shapes as in `Rotate`.

    (left cos - right sin, right cos + left sin), in few operations on whole vectors: at one token,
    their number decides the time.
    """
    half = x.shape[-1] // 2
    return (x * cos).add_(x.roll(half, -1).mul_(sin))


class Rotate(torch.autograd.Function):
    """Rotate each pair (x_i, x_{i + Dh/2}) by its angle; the gradient is rotated back.

    x (..., T, Dh); cos and sin (..., T, Dh), broadcast over the leading dimensions. The halves of
    cos are equal; the left half of sin is minus its right half.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Rotate. (..., T, Dh) -> (..., T, Dh)."""
        ctx.save_for_backward(cos, sin)
        return rotated(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient of x."""
        cos, sin = ctx.saved_tensors
        half = grad.shape[-1] // 2
        return (grad * cos).sub_(grad.roll(half, -1).mul_(sin)), None, None


class SquaredReLU(torch.autograd.Function):
    """max(x, 0)^2."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Square the positive part. The shape does not change."""
        positive = torch.relu(x)
        ctx.save_for_backward(positive)
        return positive * positive

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """Return the gradient of x."""
        [positive] = ctx.saved_tensors
        return (grad * positive).mul_(2)


class SwishGate(torch.autograd.Function):
    """silu(gate) * up, the activation of SwiGLU. The backward pass reuses the sigmoid."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        """Compute silu(gate) * up. Twice (..., d_ff) -> (..., d_ff)."""
        sigmoid = torch.sigmoid(gate)
        swish = gate * sigmoid
        ctx.save_for_backward(sigmoid, swish, up)
        return swish * up

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of gate and up."""
        sigmoid, swish, up = ctx.saved_tensors
        slope = torch.addcmul(sigmoid, swish, 1 - sigmoid)  # d silu(gate) / d gate
        return (grad * up).mul_(slope), grad * swish


class SoftmaxAttention(torch.autograd.Function):
    """softmax(q k^T + bias) v. The backward pass reuses the attention weights."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        """Compute attention for queries that are already scaled by 1 / sqrt(Dh).

        q (B, H, T, Dh), k and v (B, H, S, Dh), bias (1 or B, 1, T, S) -> (B, H, T, Dh).
        """
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
        """Return the gradients of q, k and v."""
        q, k, v, weights = ctx.saved_tensors
        B, H, T, Dh = grad.shape
        grad = grad.reshape(B * H, T, Dh)
        grad_weights = torch.bmm(grad, v.mT)  # (B*H, T, S)
        grad_scores = torch._softmax_backward_data(grad_weights, weights, -1, weights.dtype)
        grad_q = torch.bmm(grad_scores, k)
        grad_k = torch.bmm(grad_scores.mT, q)
        grad_v = torch.bmm(weights.mT, grad)
        return grad_q.view(B, H, -1, Dh), grad_k.view(B, H, -1, Dh), grad_v.view(B, H, -1, Dh), None
