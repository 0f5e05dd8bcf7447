"""Masks follow BERT's rule, come back after a kill, and what is hidden is learned."""

import math
from pathlib import Path

import pytest
import small_encoder
import torch
import torch.nn.functional as F
from small_encoder import masked_stage, model, run
from small_run import state_bytes

from chatwright.checkpoint import model_directory
from chatwright.devices import generator
from chatwright.model import masks
from chatwright.model.encoder import Encoder
from chatwright.training.cross_entropy import output_loss
from chatwright.training.stage import MicroBatch
from chatwright.training.stages.masked_lm import Masking
from chatwright.training.watcher import Stopped, Watcher

PAD, CLS, SEP, MASK = 0, 1, 2, 3


def test_of_a_hundred_thousand_tokens_eighty_ten_ten() -> None:
    """Binomial standard deviations: 0.0012 of the tokens, 0.0033 of those chosen; four of them are allowed."""
    token_ids = torch.randint(4, 1004, (100, 1000), generator=generator(0, "tokens"))
    token_ids[:, 0], token_ids[:, -1] = CLS, SEP
    batch = MicroBatch(
        token_ids, token_ids, torch.zeros_like(token_ids), torch.zeros_like(token_ids)
    )
    made = Masking(0.15, MASK, (PAD, CLS, SEP, MASK), 1004, 1).of(batch, generator(1, "masks"))
    assert float(made.chosen[:, 1:-1].float().mean()) == pytest.approx(0.15, abs=0.005)
    hidden = made.token_ids[made.chosen]
    is_mask, stays = hidden == MASK, hidden == made.targets
    assert float(is_mask.float().mean()) == pytest.approx(0.8, abs=0.013)
    assert float(stays.float().mean()) == pytest.approx(0.1 + 0.1 / 1000, abs=0.01)
    assert int(hidden[~is_mask].min()) >= 4  # no control token stands in for another
    assert torch.equal(made.targets, token_ids[made.chosen])
    assert torch.equal(made.token_ids[~made.chosen], token_ids[~made.chosen])
    assert not bool(
        made.chosen[:, 0].any() | made.chosen[:, -1].any()
    )  # <cls> and <sep> are never guessed


def test_masks_change_from_step_to_step_and_not_from_run_to_run() -> None:
    one, other = masked_stage(), masked_stage()
    first, again = one.next_batch(), other.next_batch()
    assert all(
        torch.equal(a.token_ids, b.token_ids)
        for a, b in zip(first.micro_batches, again.micro_batches, strict=True)
    )
    later = [one.next_batch() for _ in range(8)]
    same_rows = [
        b
        for step in later
        for b in step.micro_batches
        if b.targets.shape == first.micro_batches[0].targets.shape
    ]
    assert not any(torch.equal(b.chosen, first.micro_batches[0].chosen) for b in same_rows)


@pytest.mark.parametrize("bias", [False, True])
def test_the_loss_is_torchs_on_the_chosen_tokens_alone(bias: bool) -> None:
    stage, made = masked_stage(), model(bias=bias, dropout=0.0).eval()
    micro = stage.next_batch(None).micro_batches[0]
    logits = made(micro.token_ids, masks.same_document(micro.document_ids), micro.positions)
    wanted = F.cross_entropy(logits[micro.chosen], micro.targets, reduction="sum")
    loss = stage.loss(made, micro)
    torch.testing.assert_close(loss.sum, wanted)
    assert loss.count == len(micro.targets)
    gradients = [
        torch.autograd.grad(value, made.embedding.weight, retain_graph=True)[0]
        for value in (loss.sum, wanted)
    ]
    torch.testing.assert_close(*gradients)


def test_output_loss_equals_cross_entropy_with_a_bias() -> None:
    hidden, weight, bias = (
        torch.randn(*shape, generator=generator(i, "x")).requires_grad_()
        for i, shape in enumerate([(7, 5), (11, 5), (11,)])
    )
    targets = torch.randint(11, (7,), generator=generator(4, "targets"))
    ours, theirs = (
        output_loss(hidden, weight, targets, bias),
        F.cross_entropy(F.linear(hidden, weight, bias), targets, reduction="sum"),
    )
    torch.testing.assert_close(ours, theirs)
    for a, b in zip(
        torch.autograd.grad(ours, [hidden, weight, bias]),
        torch.autograd.grad(theirs, [hidden, weight, bias]),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_it_learns_what_stands_around_and_the_directory_opens(tmp_path: Path) -> None:
    out = run(
        tmp_path / "run",
        masked_stage(),
        model(dropout=0.0),
        steps=60,
        evaluate_every=60,
        average_decay=0.0,
    )
    import json

    figures = [
        json.loads(line)
        for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
        if "accuracy" in line
    ]
    assert figures[0]["validation_loss"] == pytest.approx(
        math.log(small_encoder.tokenizer().vocab_size), rel=0.05
    )
    assert figures[-1]["validation_loss"] < 0.5 * figures[0]["validation_loss"]
    assert figures[-1]["accuracy"] > 0.5
    again, tokenizer = model_directory.load(out, kind=Encoder)
    assert again.config.head == "masked_lm"
    assert tokenizer.vocab_size == again.config.vocab_size


def test_stopped_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    run(tmp_path / "whole", masked_stage(), model())
    for asked in (2, 5):
        calls = iter(range(1, 100))
        with pytest.raises(Stopped):
            run(
                tmp_path / "parts",
                masked_stage(),
                model(),
                watcher=Watcher(should_stop=lambda asked=asked, calls=calls: next(calls) >= asked),
            )
    run(tmp_path / "parts", masked_stage(), model())
    assert state_bytes(tmp_path / "parts") == state_bytes(tmp_path / "whole")
