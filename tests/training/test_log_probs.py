"""Log-probabilities of given tokens equal log_softmax of all logits, and so do their gradients."""

import pytest
import torch
from small_run import small_model
from torch import Tensor

from chatwright.devices import generator
from chatwright.training import log_probs
from chatwright.training.cross_entropy import IGNORED, next_token_loss
from chatwright.training.log_probs import TargetLogProbs, reply_log_probs, token_log_probs
from chatwright.training.stage import MicroBatch


def numbers(*shape: int, seed: int) -> Tensor:
    draws = torch.randn(*shape, generator=generator(seed, "numbers"), dtype=torch.float64)
    return draws.requires_grad_()


@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("at_once", [1, 40, 10_000])
def test_values_and_gradients_equal_those_of_log_softmax(
    has_bias: bool, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`at_once` logits are computed together: one row, a few rows, all rows."""
    monkeypatch.setattr(log_probs, "NUMBERS_AT_ONCE", at_once)
    hidden = numbers(7, 5, seed=1)
    weight = numbers(11, 5, seed=2)
    bias = numbers(11, seed=3) if has_bias else None
    targets = torch.arange(7) % 11
    factors = torch.arange(1.0, 8.0, dtype=torch.float64)
    inputs = [x for x in (hidden, weight, bias) if x is not None]

    logits = hidden @ weight.T if bias is None else hidden @ weight.T + bias
    expected = logits.log_softmax(1)[torch.arange(7), targets]
    expected_gradients = torch.autograd.grad((expected * factors).sum(), inputs)
    actual = TargetLogProbs.apply(hidden, weight, bias, targets)
    gradients = torch.autograd.grad((actual * factors).sum(), inputs)

    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-12, atol=1e-12)


def batch() -> MicroBatch:
    token_ids = torch.tensor([[4, 5, 6, 7], [7, 6, 5, 4]])
    targets = torch.tensor([[IGNORED, 6, 7, IGNORED], [IGNORED, IGNORED, IGNORED, 8]])
    return MicroBatch(token_ids, targets)


def test_each_log_probability_is_at_its_target_and_other_places_are_zero() -> None:
    model = small_model().eval()
    with torch.no_grad():
        actual = token_log_probs(model, batch())
        logits = model(batch().token_ids)
    expected = torch.zeros(2, 4)
    for row, column in ((0, 1), (0, 2), (1, 3)):
        target = batch().targets[row, column]
        expected[row, column] = logits[row, column].log_softmax(0)[target]
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def test_the_sums_of_the_rows_are_minus_the_loss_of_fine_tuning() -> None:
    model = small_model().eval()
    total = reply_log_probs(model, batch())
    assert total.shape == (2,)
    loss = next_token_loss(model, batch()).sum
    torch.testing.assert_close(-total.sum(), loss, rtol=1e-5, atol=1e-5)
    gradients = torch.autograd.grad(-total.sum(), model.embedding.weight)[0]
    expected = torch.autograd.grad(loss, model.embedding.weight)[0]
    torch.testing.assert_close(gradients, expected, rtol=1e-4, atol=1e-6)
