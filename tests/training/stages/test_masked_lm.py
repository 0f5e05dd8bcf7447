"""Masked-language training: BERT's masking rule, torch's loss, exact resume, learning."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from small_encoder import masked_stage, run, small_model, wordpiece_tokenizer
from small_run import log_of, state_bytes, stop_after

from chatwright.checkpoint import model_directory
from chatwright.devices import generator
from chatwright.model import masks
from chatwright.model.encoder import Encoder
from chatwright.training.stage import MicroBatch
from chatwright.training.stages.masked_lm import MaskedMicroBatch, Masking
from chatwright.training.watcher import Stopped, Watcher

PAD = 0
CLS = 1
SEP = 2
MASK = 3
CONTROL = (PAD, CLS, SEP, MASK)
N_WORD = 1000
WORDS = range(4, 4 + N_WORD)


def masked_rows(rate: float) -> tuple[torch.Tensor, MaskedMicroBatch]:
    """Return 100 rows of 998 random words between <cls> and <sep>, before and after masking."""
    token_ids = torch.randint(4, 1004, (100, 1000), generator=generator(0, "tokens"))
    token_ids[:, 0] = CLS
    token_ids[:, -1] = SEP
    zeros = torch.zeros_like(token_ids)
    batch = MicroBatch(token_ids, token_ids, document_ids=zeros, positions=zeros)
    masking = Masking(rate, MASK, CONTROL, 4 + N_WORD, 1)
    return token_ids, masking.apply(batch, generator(1, "masks"))


def test_selected_tokens_are_masked_replaced_or_kept_at_bert_rates() -> None:
    """80 % <mask>, 10 % another token, 10 % kept; a random token equals the old one 1 in 1,000.

    The tolerances are four binomial standard deviations: 0.0012 of all tokens, 0.0033 of the
    selected ones.
    """
    _, masked = masked_rows(0.15)
    share_selected = masked.is_selected[:, 1:-1].float().mean()
    assert float(share_selected) == pytest.approx(0.15, abs=0.005)
    inputs = masked.token_ids[masked.is_selected]
    assert float((inputs == MASK).float().mean()) == pytest.approx(0.8, abs=0.013)
    share_kept = (inputs == masked.targets).float().mean()
    assert float(share_kept) == pytest.approx(0.1 + 0.1 / N_WORD, abs=0.01)


def test_targets_are_the_original_tokens_and_other_tokens_are_unchanged() -> None:
    token_ids, masked = masked_rows(0.15)
    assert torch.equal(masked.targets, token_ids[masked.is_selected])
    is_other = ~masked.is_selected
    assert torch.equal(masked.token_ids[is_other], token_ids[is_other])


def test_control_tokens_are_neither_selected_nor_used_as_random_tokens() -> None:
    _, masked = masked_rows(0.15)
    assert not bool(masked.is_selected[:, 0].any())
    assert not bool(masked.is_selected[:, -1].any())
    inputs = masked.token_ids[masked.is_selected]
    assert int(inputs[inputs != MASK].min()) in WORDS


def test_masks_change_with_the_step_and_are_equal_in_every_run() -> None:
    model = small_model()
    stage = masked_stage()
    first = stage.next_batch(model).micro_batches
    first_of_other_run = masked_stage().next_batch(model).micro_batches
    for micro, other in zip(first, first_of_other_run, strict=True):
        assert torch.equal(micro.token_ids, other.token_ids)
    later = [micro for _ in range(8) for micro in stage.next_batch(model).micro_batches]
    assert not any(torch.equal(micro.is_selected, first[0].is_selected) for micro in later)


@pytest.mark.parametrize("has_bias", [False, True])
def test_loss_and_gradient_equal_torchs_on_the_selected_tokens(has_bias: bool) -> None:
    model = small_model(bias=has_bias, dropout=0.0).eval()
    stage = masked_stage()
    micro = stage.next_batch(model).micro_batches[0]
    logits = model(micro.token_ids, masks.same_document(micro.document_ids), micro.positions)
    expected = F.cross_entropy(logits[micro.is_selected], micro.targets, reduction="sum")
    loss = stage.loss(model, micro)
    torch.testing.assert_close(loss.sum, expected)
    assert loss.count == len(micro.targets)
    weight = model.embedding.weight
    torch.testing.assert_close(
        torch.autograd.grad(loss.sum, weight), torch.autograd.grad(expected, weight)
    )


def test_masked_tokens_are_learned_from_their_context(tmp_path: Path) -> None:
    """An untrained model starts at uniform predictions, ln V."""
    model = small_model(dropout=0.0)
    run(tmp_path / "run", masked_stage(), model, steps=60, evaluate_every=60, average_decay=0.0)
    evaluations = [record for record in log_of(tmp_path / "run") if "accuracy" in record]
    first = evaluations[0]
    last = evaluations[-1]
    uniform_loss = math.log(wordpiece_tokenizer().vocab_size)
    assert first["validation_loss"] == pytest.approx(uniform_loss, rel=0.05)
    assert last["validation_loss"] < 0.5 * first["validation_loss"]
    assert last["accuracy"] > 0.5


def test_finished_model_can_be_loaded(tmp_path: Path) -> None:
    finished = run(tmp_path / "run", masked_stage(), small_model(), steps=2)
    model, tokenizer = model_directory.load(finished, kind=Encoder)
    assert model.config.head == "masked_lm"
    assert tokenizer.vocab_size == model.config.vocab_size


def test_stopped_and_resumed_run_equals_uninterrupted_run(tmp_path: Path) -> None:
    run(tmp_path / "uninterrupted", masked_stage(), small_model())
    for steps in (2, 5):
        watcher = Watcher(should_stop=stop_after(steps))
        with pytest.raises(Stopped):
            run(tmp_path / "resumed", masked_stage(), small_model(), watcher=watcher)
    run(tmp_path / "resumed", masked_stage(), small_model())
    assert state_bytes(tmp_path / "resumed") == state_bytes(tmp_path / "uninterrupted")
