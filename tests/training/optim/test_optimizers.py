"""Our optimizers against torch's, and against the formula row by row."""

import pytest
import torch
import torch.nn.functional as F

from chatwright.devices import generator
from chatwright.training.optim.muon import Muon, orthogonalize
from chatwright.training.optim.row_rms import RowRMS
from chatwright.training.optim.schedule import factor


def draw(*shape: int, name: str) -> torch.Tensor:
    return torch.randn(*shape, generator=generator(0, name))


@pytest.mark.parametrize("shape", [(16, 16), (48, 16), (16, 48)], ids=str)
def test_muon_equals_torchs_muon(shape: tuple[int, int]) -> None:
    ours, theirs = (torch.nn.Parameter(draw(*shape, name="w")) for _ in range(2))
    a = Muon([ours], lr=0.02, momentum=0.9, weight_decay=0.1, dtype=torch.bfloat16)
    b = torch.optim.Muon([theirs], lr=0.02, momentum=0.9, weight_decay=0.1, nesterov=True)
    for step in range(3):
        ours.grad = draw(*shape, name=f"g{step}")
        theirs.grad = ours.grad.clone()
        a.step()
        b.step()
    torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=0)


def test_matrices_together_equal_one_by_one() -> None:
    matrices = draw(5, 12, 8, name="m")
    together = orthogonalize(matrices, torch.float32)
    for i in range(5):
        torch.testing.assert_close(
            together[i], orthogonalize(matrices[i : i + 1], torch.float32)[0], atol=1e-5, rtol=1e-4
        )


def test_orthogonalize_brings_singular_values_near_one() -> None:
    values = torch.linalg.svdvals(orthogonalize(draw(3, 16, 16, name="m"), torch.float32))
    assert values.max() < 1.3
    assert values.median() > 0.6


@pytest.mark.parametrize("beta", [0.9, 1.0])
def test_row_rms_is_its_formula_row_by_row(beta: float) -> None:
    table = torch.nn.Parameter(draw(6, 3, name="t"))
    slow, mean_square, count = table.detach().clone(), torch.zeros(6), torch.zeros(6)
    optimizer = RowRMS([table], lr=0.1, beta=beta)
    for step in range(4):
        ids = torch.tensor([[0, 2, 2], [5, 0, 1]]) if step % 2 else torch.tensor([[3, 3, 3]])
        weights = draw(*ids.shape, 3, name=f"w{step}")
        (F.embedding(ids, table, sparse=True) * weights).sum().backward()
        for row in ids.unique().tolist():
            gradient = weights[ids == row].sum(0)
            count[row] += 1
            square = gradient.square().mean()
            mean_square[row] = (
                mean_square[row] + square
                if beta == 1
                else beta * mean_square[row] + (1 - beta) * square
            )
            slow[row] -= (
                0.1
                * gradient
                / (mean_square[row] / (1 if beta == 1 else 1 - beta ** count[row])).sqrt()
            )
        optimizer.step()
        table.grad = None
        torch.testing.assert_close(table.detach(), slow)
    assert count[4] == 0  # never touched, never moved


def test_adagrads_steps_shrink_and_decaying_ones_do_not() -> None:
    sizes = {}
    for beta in (0.9, 1.0):
        table = torch.nn.Parameter(torch.zeros(1, 2))
        optimizer = RowRMS([table], lr=0.1, beta=beta)
        for _ in range(9):
            before = table.detach().clone()
            F.embedding(torch.tensor([0]), table, sparse=True).sum().backward()
            optimizer.step()
            table.grad = None
        sizes[beta] = float((table.detach() - before).abs().max())
    assert sizes == pytest.approx({0.9: 0.1, 1.0: 0.1 / 3})  # 1 / sqrt(9)


def test_schedules_by_hand() -> None:
    wsd = [factor("wsd", step, 10, 2, 0.0, 0.5) for step in range(10)]
    assert wsd == pytest.approx([0.5, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])
    cosine = [factor("cosine", step, 12, 2, 0.1, 0.5) for step in (0, 1, 2, 7, 11)]
    assert cosine == pytest.approx(
        [0.5, 1, 1, 0.55, 0.1 + 0.9 * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * 0.9)).item())]
    )
