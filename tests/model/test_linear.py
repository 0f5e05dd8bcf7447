"""Packed linear layers equal unpacked ones, and their rows do not depend on each other."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from chatwright.devices import generator
from chatwright.model.linear import Joining, Linear, pack_linears, products, unpack_linears


def make(n_in: int, n_out: int, bias: bool = False) -> Linear:
    linear = Linear(n_in, n_out, bias)
    with torch.no_grad():
        for name, parameter in linear.named_parameters():
            parameter.normal_(generator=generator(0, name))
    return linear


def packed(linear: Linear) -> Linear:
    if not pack_linears(linear):
        pytest.skip("this torch build has no packed linear kernel")
    return linear


@pytest.mark.parametrize("activation", ["none", "relu", "silu", "gelu", "gelu_exact"])
@pytest.mark.parametrize("bias", [False, True])
def test_a_packed_layer_equals_an_unpacked_one(activation: str, bias: bool) -> None:
    linear, x = make(24, 40, bias), torch.randn(3, 5, 24, generator=generator(1, "x"))
    with torch.no_grad():
        plain = linear(x, activation)  # type: ignore[arg-type]
        reference = F.linear(x, linear.weight, linear.bias)
        if activation != "none":
            reference = {
                "relu": F.relu,
                "silu": F.silu,
                "gelu_exact": F.gelu,
                "gelu": lambda y: F.gelu(y, approximate="tanh"),
            }[activation](reference)
        assert torch.equal(plain, reference)
        torch.testing.assert_close(packed(linear)(x, activation), plain, atol=1e-5, rtol=1e-5)


# With the last shape oneDNN uses another kernel for a single row, so `Linear` computes it twice.
@pytest.mark.parametrize(("n_in", "n_out"), [(64, 192), (192, 65), (100, 683), (3072, 768)])
@pytest.mark.parametrize("activation", ["none", "relu", "silu"])
def test_packed_rows_do_not_depend_on_the_other_rows(
    n_in: int, n_out: int, activation: str
) -> None:
    linear, x = packed(make(n_in, n_out)), torch.randn(80, n_in, generator=generator(1, "x"))
    with torch.no_grad():
        whole = linear(x, activation)  # type: ignore[arg-type]
        for start, count in ((0, 1), (5, 1), (1, 2), (7, 3), (8, 9), (0, 17), (30, 33), (15, 64)):
            assert torch.equal(
                linear(x[start : start + count], activation), whole[start : start + count]
            )  # type: ignore[arg-type]


@pytest.mark.parametrize(("n_in", "n_out"), [(64, 192), (192, 65), (100, 683), (3072, 768)])
@pytest.mark.parametrize("bias", [False, True])
def test_products_multiplied_in_the_kernel_equal_separate_ones_in_any_batch(
    n_in: int, n_out: int, bias: bool
) -> None:
    linear = make(n_in, n_out, bias)
    x = torch.randn(80, n_in, generator=generator(1, "x"))
    factor = torch.randn(80, n_out, generator=generator(1, "factor"))
    with torch.no_grad():
        plain = linear.times(x, factor)
        assert torch.equal(plain, linear(x) * factor)
        packed(linear)
        whole = linear.times(x, factor)
        # Up to 3,072 products near 1 are summed in another order.
        torch.testing.assert_close(whole, plain, atol=1e-3, rtol=1e-5)
        assert torch.equal(
            linear.times(x.view(8, 10, -1), factor.view(8, 10, -1)).flatten(0, 1), whole
        )
        for start, count in ((0, 1), (5, 1), (1, 2), (7, 3), (8, 9), (0, 17), (30, 33), (15, 64)):
            part = slice(start, start + count)
            assert torch.equal(linear.times(x[part], factor[part]), whole[part])


def test_the_bits_of_torch_silu_depend_on_the_length_of_the_tensor() -> None:
    """This is why packed layers fuse the activation. If the test fails, torch has changed."""
    x = torch.randn(80, 683, generator=generator(1, "x")) * 3
    whole = F.silu(x)
    assert any(not torch.equal(F.silu(x[:count].clone()), whole[:count]) for count in range(1, 40))


def test_packed_layers_refuse_gradients_until_unpacked() -> None:
    model = nn.Sequential(make(8, 8), make(8, 8))
    packed(model)  # type: ignore[arg-type]
    with pytest.raises(AssertionError):
        model(torch.ones(2, 8))
    unpack_linears(model)
    model(torch.ones(2, 8)).sum().backward()
    assert model[0].weight.grad is not None


def test_float64_layers_are_not_packed() -> None:
    model = make(8, 8).double()
    assert not pack_linears(model)
    assert model.packed is None


def test_a_released_weight_stays_in_its_packed_copy_only() -> None:
    x = torch.randn(3, 8, generator=generator(1, "x"))
    model, tied = nn.Sequential(make(8, 6), make(6, 8)), make(8, 5)
    model.append(tied)
    model.register_parameter("embedding", tied.weight)
    with torch.no_grad():
        packed(model)  # type: ignore[arg-type]
        expected = model(x)
        unpack_linears(model)
        assert pack_linears(model, keeps_weights=False)
        assert torch.equal(model(x), expected)
    assert [linear.weight.is_meta for linear in model] == [True, True, False], (
        "a weight that another module uses too stays"
    )
    assert model[0].weight.shape == (6, 8)
    with pytest.raises(AssertionError):
        unpack_linears(model)
    with pytest.raises(AssertionError):
        pack_linears(model)


class Fork(Joining):
    """Two layers of one input."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.left, self.right = make(24, 40, bias), make(24, 17, bias)

    def joined_layers(self) -> tuple[Linear, ...]:
        return self.left, self.right

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.joined is not None:
            return self.joined(x)
        return torch.cat([self.left(x), self.right(x)], dim=-1)


@pytest.mark.parametrize("bias", [False, True])
def test_layers_packed_as_one_matrix_equal_separate_layers(bias: bool) -> None:
    fork, x = Fork(bias), torch.randn(3, 5, 24, generator=generator(1, "x"))
    with torch.no_grad():
        expected = fork(x)
        packed(fork)  # type: ignore[arg-type]
        assert fork.joined is not None
        torch.testing.assert_close(fork(x), expected, atol=1e-5, rtol=1e-5)
        assert [(name, shape) for name, shape, _ in products(fork)] == [("", (57, 24))]
        unpack_linears(fork)
        assert torch.equal(fork(x), expected)
        assert [name for name, _, _ in products(fork)] == ["left", "right"]
        pack_linears(fork, keeps_weights=False)
        assert fork.left.weight.is_meta
        torch.testing.assert_close(fork(x), expected, atol=1e-5, rtol=1e-5)
