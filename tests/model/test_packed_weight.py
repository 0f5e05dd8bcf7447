"""Activations of a row do not depend on the other rows."""

import pytest
import torch

from chatwright.devices import generator
from chatwright.model.packed_weight import FusedActivation, activate, activate_rows


@pytest.mark.parametrize("activation", ["none", "relu", "silu", "gelu", "gelu_exact"])
@pytest.mark.parametrize("width", [5, 96, 683, 1536])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_row_does_not_depend_on_the_other_rows(
    activation: FusedActivation, width: int, threads: int
) -> None:
    x = 3 * torch.randn(131, width, generator=generator(0, "x"))
    n_thread = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        whole = activate_rows(x, activation)
        torch.testing.assert_close(whole, activate(x, activation))
        for start, end in ((0, 1), (3, 4), (3, 10), (17, 131), (1, 90), (130, 131)):
            part = activate_rows(x[start:end], activation)
            assert torch.equal(part, whole[start:end]), (start, end)
    finally:
        torch.set_num_threads(n_thread)


def test_a_view_of_several_columns_equals_its_copy() -> None:
    x = torch.randn(40, 192, generator=generator(0, "x"))
    gate = x.chunk(2, dim=-1)[0]
    assert torch.equal(activate_rows(gate, "silu"), activate_rows(gate.clone(), "silu"))
