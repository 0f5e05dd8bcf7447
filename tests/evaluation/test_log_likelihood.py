import pytest
import torch
from torch import Tensor, nn

from chatwright.evaluation.log_likelihood import log_likelihood


class PrefixModel(nn.Module):
    """Causal, and every logit depends on the whole row so far: a cropped or shifted prefix changes the answer."""

    def __init__(self, vocab_size: int = 11) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.embed = nn.Parameter(torch.randn(vocab_size, 8, generator=generator))
        self.out = nn.Parameter(torch.randn(8, vocab_size, generator=generator))
        self.batches: list[tuple[int, ...]] = []

    def forward(self, token_ids: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        assert not self.training
        assert not torch.is_grad_enabled()
        self.batches.append(tuple(token_ids.shape))
        logits: Tensor = torch.tanh(self.embed[token_ids].cumsum(dim=1)) @ self.out
        return logits if dtype is None else logits.to(dtype)


ROWS = [[3, 1], [0, 1, 2, 3, 4, 5, 6], [9, 9, 9], [10, 2, 7, 7], [4, 0, 0, 1, 2, 8, 8]]


def one_by_one(model: PrefixModel, row: list[int]) -> float:
    total = 0.0
    with torch.no_grad():
        for t in range(1, len(row)):
            probs = model.eval()(torch.tensor([row[:t]]))[0, -1].double().softmax(dim=0)
            total += float(probs[row[t]].log())
    return total


@pytest.mark.parametrize("tokens_per_batch", [1, 7, 4096])
def test_equals_one_row_and_one_token_at_a_time(tokens_per_batch: int) -> None:
    model = PrefixModel()
    expected = torch.tensor([one_by_one(model, row) for row in ROWS], dtype=torch.float64)
    torch.testing.assert_close(
        log_likelihood(model, ROWS, tokens_per_batch=tokens_per_batch),
        expected,
        rtol=1e-5,
        atol=1e-5,
    )


def test_batches_stay_within_the_bound() -> None:
    model = PrefixModel()
    log_likelihood(model, ROWS, tokens_per_batch=12)
    assert model.batches == [(2, 6), (3, 3)]


def test_the_model_is_left_in_the_mode_it_was_in() -> None:
    model = PrefixModel()
    for was_training in (True, False):
        model.train(was_training)
        log_likelihood(model, ROWS)
        assert model.training is was_training


def test_the_precision_is_passed_on_and_the_sum_stays_exact() -> None:
    exact, rough = (
        log_likelihood(PrefixModel(), ROWS),
        log_likelihood(PrefixModel(), ROWS, dtype=torch.bfloat16),
    )
    assert not torch.equal(exact, rough)
    assert rough.dtype is torch.float64
    torch.testing.assert_close(exact, rough, rtol=0.05, atol=0.05)


def test_a_row_with_nothing_to_predict_is_refused() -> None:
    with pytest.raises(ValueError, match=r"row 1 has 1 token"):
        log_likelihood(PrefixModel(), [[1, 2], [3]])
