"""The loss computed for a few tokens at a time equals torch's, as do its gradients."""

import pytest
import torch
import torch.nn.functional as F
from small_run import sft_stage, small_model
from torch import Tensor

from chatwright.devices import generator
from chatwright.model import masks
from chatwright.model.linear import Linear
from chatwright.training import cross_entropy
from chatwright.training.cross_entropy import (
    IGNORED,
    HeadCrossEntropy,
    head_loss,
    next_token_loss,
    output_loss,
)
from chatwright.training.stage import MicroBatch


def draw(*shape: int, name: str, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=generator(0, name)).requires_grad_()


def draw_targets(*shape: int) -> Tensor:
    return torch.randint(30, shape, generator=generator(1, "targets"))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("numbers_at_once", [1, 70, 10**6])
def test_loss_and_gradients_equal_torchs(
    monkeypatch: pytest.MonkeyPatch, numbers_at_once: int, smoothing: float
) -> None:
    monkeypatch.setattr(cross_entropy, "NUMBERS_AT_ONCE", numbers_at_once)
    inputs = (draw(13, 6, name="hidden"), draw(30, 6, name="weight"))
    hidden, weight = inputs
    targets = draw_targets(13)
    loss = HeadCrossEntropy.apply(hidden, weight, targets, smoothing)
    logits = hidden @ weight.T
    expected = F.cross_entropy(logits, targets, reduction="sum", label_smoothing=smoothing)
    torch.testing.assert_close(loss, expected)
    gradients = torch.autograd.grad(loss / 7, inputs)
    torch.testing.assert_close(gradients, torch.autograd.grad(expected / 7, inputs))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_frozen_head_gives_the_same_gradient_of_the_hidden_states(smoothing: float) -> None:
    """Below an adapter the head is frozen; its gradient is then not computed."""
    hidden, weight = draw(13, 6, name="hidden"), draw(30, 6, name="weight")
    targets = draw_targets(13)
    gradients = []
    for head in (weight, weight.detach()):
        loss = HeadCrossEntropy.apply(hidden, head, targets, smoothing)
        gradients.append(torch.autograd.grad(loss, hidden)[0])
    assert torch.equal(*gradients)


def test_output_loss_with_a_bias_equals_torchs() -> None:
    shapes = {"hidden": (7, 5), "weight": (30, 5), "bias": (30,)}
    inputs = [draw(*shape, name=name, dtype=torch.float32) for name, shape in shapes.items()]
    hidden, weight, bias = inputs
    targets = draw_targets(7)
    loss = output_loss(hidden, weight, targets, bias)
    expected = F.cross_entropy(F.linear(hidden, weight, bias), targets, reduction="sum")
    torch.testing.assert_close(loss, expected)
    gradients = torch.autograd.grad(loss, inputs)
    torch.testing.assert_close(gradients, torch.autograd.grad(expected, inputs))


@pytest.mark.parametrize("has_bias", [False, True])
def test_smoothed_loss_equals_its_formula_token_by_token(has_bias: bool) -> None:
    head = Linear(6, 30, has_bias)
    hidden = draw(2, 5, 6, name="hidden").float().detach()
    targets = draw_targets(2, 5)
    targets[1, 3:] = IGNORED
    with torch.no_grad():
        for name, p in head.named_parameters():
            p.normal_(generator=generator(2, name))
    expected = 0.0
    for state, target in zip(hidden.flatten(0, 1), targets.flatten().tolist(), strict=True):
        if target != IGNORED:
            probs = torch.full((30,), 0.1 / 30)
            probs[target] += 0.9
            expected -= float((probs * head(state).log_softmax(dim=0)).sum().detach())
    loss = head_loss(head, hidden, targets, smoothing=0.1)
    assert loss.count == 8
    assert loss.sum.item() == pytest.approx(expected, rel=1e-4)


def test_large_logits_do_not_overflow() -> None:
    hidden = torch.tensor([[1000.0]])
    weight = torch.tensor([[1.0], [-1.0]])
    assert HeadCrossEntropy.apply(hidden, weight, torch.tensor([0])).item() == 0.0
    assert HeadCrossEntropy.apply(hidden, weight, torch.tensor([1])).item() == 2000.0


def test_next_token_loss_equals_the_cross_entropy_of_the_models_logits() -> None:
    model = small_model(dropout=0.0)
    [micro] = sft_stage().next_batch(model).micro_batches
    loss = next_token_loss(model, micro)
    mask = masks.causal_documents(micro.document_ids)
    logits = model(micro.token_ids, mask=mask, positions=micro.positions)
    expected = F.cross_entropy(
        logits.flatten(0, 1), micro.targets.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    torch.testing.assert_close(loss.sum, expected, rtol=1e-5, atol=1e-4)
    assert loss.count == int((micro.targets != IGNORED).sum())


def test_bfloat16_loss_is_close_to_float32() -> None:
    model = small_model(dropout=0.0)
    token_ids = torch.randint(20, (4, 32), generator=generator(0, "tokens"))
    micro = MicroBatch(token_ids, token_ids)
    low = next_token_loss(model, micro, torch.bfloat16).sum
    torch.testing.assert_close(low, next_token_loss(model, micro).sum, rtol=5e-3, atol=0.0)
