"""Log-likelihoods equal those computed token by token, whatever the batches."""

import pytest
import torch
from torch import Tensor, nn

from chatwright.errors import InputError
from chatwright.evaluation.log_likelihood import log_likelihood


class PrefixModel(nn.Module):
    """A causal model whose logits depend on all tokens so far, so a wrong prefix changes them."""

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


def token_by_token(model: PrefixModel, row: list[int]) -> float:
    total = 0.0
    with torch.no_grad():
        for t in range(1, len(row)):
            probs = model.eval()(torch.tensor([row[:t]]))[0, -1].double().softmax(dim=0)
            total += float(probs[row[t]].log())
    return total


@pytest.mark.parametrize("tokens_per_batch", [1, 7, 4096])
def test_batched_log_likelihoods_equal_a_token_by_token_computation(tokens_per_batch: int) -> None:
    model = PrefixModel()
    expected = torch.tensor([token_by_token(model, row) for row in ROWS], dtype=torch.float64)
    torch.testing.assert_close(
        log_likelihood(model, ROWS, tokens_per_batch=tokens_per_batch),
        expected,
        rtol=1e-5,
        atol=1e-5,
    )


def test_batches_have_at_most_tokens_per_batch_tokens() -> None:
    model = PrefixModel()
    log_likelihood(model, ROWS, tokens_per_batch=12)
    assert model.batches == [(2, 6), (3, 3)]


def test_the_model_returns_to_its_training_or_evaluation_mode() -> None:
    model = PrefixModel()
    for was_training in (True, False):
        model.train(was_training)
        log_likelihood(model, ROWS)
        assert model.training is was_training


def test_the_model_computes_in_the_given_dtype_and_sums_are_float64() -> None:
    exact = log_likelihood(PrefixModel(), ROWS)
    rough = log_likelihood(PrefixModel(), ROWS, dtype=torch.bfloat16)
    assert not torch.equal(exact, rough)
    assert rough.dtype is torch.float64
    torch.testing.assert_close(exact, rough, rtol=0.05, atol=0.05)


def test_a_row_of_one_token_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        log_likelihood(PrefixModel(), [[1, 2], [3]])
    assert (caught.value.field, caught.value.value) == ("rows", 1)
