"""RowRMS equals its formula, computed row by row."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chatwright.devices import generator
from chatwright.training.optim.row_rms import RowRMS


def draw(*shape: int, name: str) -> Tensor:
    return torch.randn(*shape, generator=generator(0, name))


@pytest.mark.parametrize("beta", [0.9, 1.0])
def test_row_rms_equals_its_formula_row_by_row(beta: float) -> None:
    table = nn.Parameter(draw(6, 3, name="table"))
    expected = table.detach().clone()
    mean_square = torch.zeros(6)
    count = torch.zeros(6)
    optimizer = RowRMS([table], lr=0.1, beta=beta)
    for step in range(4):
        ids = torch.tensor([[0, 2, 2], [5, 0, 1]]) if step % 2 else torch.tensor([[3, 3, 3]])
        weights = draw(*ids.shape, 3, name=f"weights {step}")
        (F.embedding(ids, table, sparse=True) * weights).sum().backward()
        for row in ids.unique().tolist():
            gradient = weights[ids == row].sum(0)
            count[row] += 1
            square = gradient.square().mean()
            if beta == 1.0:
                mean_square[row] += square
                corrected = mean_square[row]
            else:
                mean_square[row] = beta * mean_square[row] + (1 - beta) * square
                corrected = mean_square[row] / (1 - beta ** count[row])
            expected[row] -= 0.1 * gradient / corrected.sqrt()
        optimizer.step()
        table.grad = None
        torch.testing.assert_close(table.detach(), expected)
    assert count[4] == 0, "row 4 was never used"


def test_steps_shrink_with_beta_one_and_keep_their_size_with_a_smaller_beta() -> None:
    sizes = {}
    for beta in (0.9, 1.0):
        table = nn.Parameter(torch.zeros(1, 2))
        optimizer = RowRMS([table], lr=0.1, beta=beta)
        for _ in range(9):
            before = table.detach().clone()
            F.embedding(torch.tensor([0]), table, sparse=True).sum().backward()
            optimizer.step()
            table.grad = None
        sizes[beta] = float((table.detach() - before).abs().max())
    # The gradient is always 1, so the ninth Adagrad step is lr / sqrt(9).
    assert sizes == pytest.approx({0.9: 0.1, 1.0: 0.1 / 3})
