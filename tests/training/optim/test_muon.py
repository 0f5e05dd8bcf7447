"""Muon equals torch.optim.Muon and trains exactly the matrices inside the blocks."""

from collections.abc import Callable

import pytest
import torch
from small_run import small_model
from small_translation import small_model as small_translation_model
from torch import Tensor, nn

from chatwright.devices import generator
from chatwright.model.model import Model
from chatwright.training.optim.muon import Muon, orthogonalize
from chatwright.training.optim.optimizer import Optimizer, OptimizerConfig


def draw(*shape: int, name: str) -> Tensor:
    return torch.randn(*shape, generator=generator(0, name))


@pytest.mark.parametrize("shape", [(16, 16), (48, 16), (16, 48)], ids=str)
def test_muon_equals_torchs_muon(shape: tuple[int, int]) -> None:
    ours = nn.Parameter(draw(*shape, name="weight"))
    torchs = nn.Parameter(ours.detach().clone())
    our_muon = Muon([ours], lr=0.02, momentum=0.9, weight_decay=0.1, dtype=torch.bfloat16)
    torch_muon = torch.optim.Muon([torchs], lr=0.02, momentum=0.9, weight_decay=0.1, nesterov=True)
    for step in range(3):
        ours.grad = draw(*shape, name=f"gradient {step}")
        torchs.grad = ours.grad.clone()
        our_muon.step()
        torch_muon.step()
    torch.testing.assert_close(ours, torchs, atol=2e-3, rtol=0)


def test_orthogonalizing_matrices_together_equals_one_at_a_time() -> None:
    matrices = draw(5, 12, 8, name="matrices")
    together = orthogonalize(matrices, torch.float32)
    alone = torch.cat([orthogonalize(matrix[None], torch.float32) for matrix in matrices])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_orthogonalize_brings_singular_values_close_to_one() -> None:
    matrices = orthogonalize(draw(3, 16, 16, name="matrices"), torch.float32)
    values = torch.linalg.svdvals(matrices)
    assert values.max() < 1.3
    assert values.median() > 0.6


@pytest.mark.parametrize(
    "make_model", [small_model, small_translation_model], ids=["decoder", "encoder-decoder"]
)
def test_muon_trains_exactly_the_matrices_inside_the_blocks(
    make_model: Callable[[], Model],
) -> None:
    model = make_model()
    optimizer = Optimizer(model, OptimizerConfig(), torch.float32)
    [muon] = [part for part in optimizer.parts if isinstance(part, Muon)]
    in_muon = {id(p) for group in muon.param_groups for p in group["params"]}
    names = {name for name, p in model.named_parameters() if id(p) in in_muon}
    in_blocks = {name for name, p in model.named_parameters() if "blocks." in name and p.ndim == 2}
    assert names == in_blocks


def test_muon_trains_the_cross_attention_of_an_encoder_decoder() -> None:
    model = small_translation_model()
    optimizer = Optimizer(model, OptimizerConfig(), torch.float32)
    [muon] = [part for part in optimizer.parts if isinstance(part, Muon)]
    in_muon = {id(p) for group in muon.param_groups for p in group["params"]}
    cross_attention = [
        p for name, p in model.named_parameters() if "cross_attention" in name and p.ndim == 2
    ]
    assert cross_attention
    assert all(id(p) in in_muon for p in cross_attention)
