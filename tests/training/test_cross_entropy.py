"""The fused loss equals torch's cross-entropy over the whole table of logits, with its gradients."""

import pytest
import small_run
import torch
import torch.nn.functional as F

from chatwright.devices import generator
from chatwright.model.linear import Linear
from chatwright.training import cross_entropy
from chatwright.training.cross_entropy import IGNORED, HeadCrossEntropy, head_loss, next_token_loss
from chatwright.training.stage import MicroBatch


def draw(*shape: int, name: str) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator(0, name)).requires_grad_()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("numbers_at_once", [1, 70, 10**6])
def test_value_and_gradients_equal_torchs(
    monkeypatch: pytest.MonkeyPatch, numbers_at_once: int, smoothing: float
) -> None:
    monkeypatch.setattr(cross_entropy, "NUMBERS_AT_ONCE", numbers_at_once)
    hidden, weight = draw(13, 6, name="h"), draw(30, 6, name="w")
    targets = torch.randint(30, (13,), generator=generator(1, "t"))
    ours = HeadCrossEntropy.apply(hidden, weight, targets, smoothing)
    plain = F.cross_entropy(hidden @ weight.T, targets, reduction="sum", label_smoothing=smoothing)
    torch.testing.assert_close(ours, plain)
    for a, b in zip(
        torch.autograd.grad(ours / 7, (hidden, weight)),
        torch.autograd.grad(plain / 7, (hidden, weight)),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("bias", [False, True])
def test_a_smoothed_loss_is_the_formula_written_out(bias: bool) -> None:
    head, hidden, targets = (
        Linear(6, 30, bias),
        draw(2, 5, 6, name="h").float().detach(),
        torch.randint(30, (2, 5), generator=generator(1, "t")),
    )
    targets[1, 3:] = IGNORED
    with torch.no_grad():
        for name, p in head.named_parameters():
            p.normal_(generator=generator(2, name))
    expected = 0.0
    for h, t in zip(hidden.flatten(0, 1), targets.flatten().tolist(), strict=True):
        wanted = torch.full((30,), 0.1 / 30)
        if t != IGNORED:
            wanted[t] += 0.9
            expected -= float((wanted * head(h).log_softmax(dim=0)).sum().detach())
    loss = head_loss(head, hidden, targets, smoothing=0.1)
    assert loss.count == 8
    assert abs(loss.sum.item() - expected) < 1e-4 * expected


def test_huge_logits_do_not_overflow() -> None:
    hidden, weight = torch.tensor([[1000.0]]), torch.tensor([[1.0], [-1.0]])
    assert HeadCrossEntropy.apply(hidden, weight, torch.tensor([0])).item() == 0.0
    assert HeadCrossEntropy.apply(hidden, weight, torch.tensor([1])).item() == 2000.0


def test_the_loss_is_that_of_the_models_own_logits() -> None:
    made = small_run.model(dropout=0.0)
    [micro] = small_run.sft_stage().next_batch(None).micro_batches
    loss = next_token_loss(made, micro)
    from chatwright.model import masks

    logits = made(
        micro.token_ids, mask=masks.causal_documents(micro.document_ids), positions=micro.positions
    )
    plain = F.cross_entropy(
        logits.flatten(0, 1), micro.targets.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    torch.testing.assert_close(loss.sum, plain, rtol=1e-5, atol=1e-4)
    assert loss.count == int((micro.targets != IGNORED).sum())


def test_in_bfloat16_the_loss_stays_close_to_float32() -> None:
    made = small_run.model(dropout=0.0)
    token_ids = torch.randint(20, (4, 32), generator=generator(0, "x"))
    micro = MicroBatch(token_ids, token_ids)
    torch.testing.assert_close(
        next_token_loss(made, micro, torch.bfloat16).sum,
        next_token_loss(made, micro).sum,
        rtol=5e-3,
        atol=0.0,
    )
