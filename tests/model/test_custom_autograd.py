"""Custom backward passes equal torch's autograd of the plain formula, and finite differences."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.devices import generator
from chatwright.model.custom_autograd import (
    RMSNormalize,
    Rotate,
    SoftmaxAttention,
    SquaredReLU,
    SwishGate,
)


def draw(*shape: int, name: str = "x") -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator(0, name)).requires_grad_()


def plain_rms(x: Tensor, weight: Tensor) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],), weight, 1e-6)


def plain_rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    left, right = x.chunk(2, dim=-1)
    return x * torch.cat([cos, cos], -1) + torch.cat([-right, left], dim=-1) * torch.cat(
        [sin, sin], -1
    )


def twice(cos: Tensor) -> Tensor:
    return torch.cat([cos, cos], dim=-1)


def signed(sin: Tensor) -> Tensor:
    return torch.cat([-sin, sin], dim=-1)


def plain_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)


def cases() -> list[tuple[str, object, object, tuple[Tensor, ...]]]:
    bias = torch.zeros(1, 1, 5, 5, dtype=torch.float64).masked_fill(
        torch.ones(5, 5).triu(1).bool(), -1e4
    )
    per_row = bias.repeat(2, 1, 1, 1)
    per_row[1, 0, 3:, :3] = -1e4  # the second row holds two documents
    angles = draw(1, 1, 5, 3, name="angles").detach()
    qkv = draw(2, 3, 5, 6, name="q"), draw(2, 3, 5, 6, name="k"), draw(2, 3, 5, 6, name="v")
    return [
        (
            "rms",
            lambda x, w: RMSNormalize.apply(x, w, 1e-6),
            plain_rms,
            (draw(2, 5, 6), draw(6, name="w")),
        ),
        (
            "rotate",
            lambda x: Rotate.apply(x, twice(angles.cos()), signed(angles.sin())),
            lambda x: plain_rotate(x, angles.cos(), angles.sin()),
            (draw(2, 3, 5, 6),),
        ),
        ("relu2", SquaredReLU.apply, lambda x: F.relu(x).square(), (draw(2, 5, 6),)),
        (
            "swiglu",
            SwishGate.apply,
            lambda g, u: F.silu(g) * u,
            (draw(2, 5, 6, name="g"), draw(2, 5, 6, name="u")),
        ),
        (
            "attention, one mask",
            lambda q, k, v: SoftmaxAttention.apply(q, k, v, bias),
            lambda q, k, v: plain_attention(q, k, v, bias),
            qkv,
        ),
        (
            "attention, one mask per row",
            lambda q, k, v: SoftmaxAttention.apply(q, k, v, per_row),
            lambda q, k, v: plain_attention(q, k, v, per_row),
            qkv,
        ),
    ]


@pytest.mark.parametrize("case", cases(), ids=lambda case: case[0])
def test_value_and_gradients_equal_autograd_of_the_formula(case: tuple) -> None:
    _, custom, plain, inputs = case
    out, expected = custom(*inputs), plain(*inputs)
    torch.testing.assert_close(out, expected)
    weights = torch.randn(out.shape, dtype=torch.float64, generator=generator(1, "weights"))
    gradients = torch.autograd.grad((out * weights).sum(), inputs)
    expected_gradients = torch.autograd.grad((expected * weights).sum(), inputs)
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("case", cases(), ids=lambda case: case[0])
def test_gradients_equal_finite_differences(case: tuple) -> None:
    assert torch.autograd.gradcheck(case[1], case[3])


def test_finite_differences_find_a_gradient_that_is_wrong_by_one_percent() -> None:
    class Wrong(SquaredReLU):
        @staticmethod
        def backward(ctx: object, grad: Tensor) -> Tensor:
            return SquaredReLU.backward(ctx, grad) * 1.01

    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(Wrong.apply, (draw(2, 5, 6),))
