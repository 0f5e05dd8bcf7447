"""Labels are learned from nothing and from a parent, stopped runs go on to the bit, and what is counted is what was told."""

import json
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from small_encoder import CPU, classifier, encoded, label_stage, masked_stage, model, run, tokenizer
from small_run import state_bytes

from chatwright.checkpoint import model_directory
from chatwright.devices import generator
from chatwright.engine.encoder_forward import ClassifierForward
from chatwright.model.encoder import Encoder
from chatwright.training.batches.labels import LabelBatchConfig, LabelBatches
from chatwright.training.checks import RunFailed
from chatwright.training.stages.classification import label_logits, text_log_probs
from chatwright.training.watcher import Stopped, Watcher


def random_classifier() -> Encoder:
    made = classifier(dropout=0.0).eval()
    with torch.no_grad():
        for name, p in made.named_parameters():
            p.add_(torch.empty_like(p).uniform_(-0.3, 0.3, generator=generator(2, name)))
    return made


def test_an_epoch_holds_every_text_once_and_the_next_one_another_order() -> None:
    stage = label_stage(token_dropout=0.0)
    epochs = [
        [
            int(i)
            for _ in range(3)
            for micro in stage.next_batch(None).micro_batches
            for i in micro.text
        ]
        for _ in range(2)
    ]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(18))
    assert epochs[0] != epochs[1]


def test_micro_batches_are_padded_to_their_own_longest_and_labels_stay_with_their_texts() -> None:
    read = encoded()
    batch = LabelBatches(
        read, tokenizer().encoder_tokens, LabelBatchConfig(rows=18, accumulate=3), 1, CPU
    ).next_batch()
    assert batch.count == 18
    assert [len(micro.labels) for micro in batch.micro_batches] == [6, 6, 6]
    for micro in batch.micro_batches:
        assert micro.token_ids.shape[1] == int(micro.lengths.max())
        assert micro.labels.tolist() == [read.labels[text] for text in micro.text.tolist()]
        for ids, length, text in zip(
            micro.token_ids.tolist(), micro.lengths.tolist(), micro.text.tolist(), strict=True
        ):
            assert ids[:length] == read.pieces[text][0]
            assert set(ids[length:]) <= {tokenizer().encoder_tokens.pad}


def test_token_dropout_hides_its_share_and_neither_frame_nor_padding() -> None:
    encoder_tokens = tokenizer().encoder_tokens
    stage = label_stage(token_dropout=0.5, rows=18)
    micros = [micro for _ in range(40) for micro in stage.next_batch(None).micro_batches]
    inside = torch.cat(
        [(micro.token_ids == encoder_tokens.mask)[:, 1:].flatten() for micro in micros]
    )
    exists = torch.cat(
        [(micro.token_ids != encoder_tokens.pad)[:, 1:].flatten() for micro in micros]
    )
    assert float(inside[exists].float().mean()) == pytest.approx(0.5, abs=0.03)
    assert all(bool((micro.token_ids[:, 0] == encoder_tokens.cls).all()) for micro in micros)
    assert not bool(inside[~exists].any())


def test_in_training_a_long_text_gives_one_piece_an_epoch_and_in_telling_all() -> None:
    stage = label_stage(max_length=6, rows=18, token_dropout=0.0)
    seen = [
        {
            tuple(ids[:n])
            for micro in stage.next_batch(None).micro_batches
            for ids, n, text in zip(
                micro.token_ids.tolist(), micro.lengths.tolist(), micro.text.tolist(), strict=True
            )
            if text == 0
        }
        for _ in range(12)
    ]
    assert all(len(pieces) == 1 for pieces in seen)
    assert len(set.union(*seen)) == len(stage.batches.texts.pieces[0]) > 1
    assert sum(len(micro.text) for micro in stage.validation.all_pieces()) == sum(
        map(len, stage.validation.texts.pieces)
    )


def test_the_loss_is_torchs_and_accumulation_does_not_change_its_gradient() -> None:
    made = random_classifier()
    gradients = []
    for accumulate in (1, 3):
        stage = label_stage(token_dropout=0.0, rows=18, accumulate=accumulate)
        batch = stage.next_batch(None)
        for micro in batch.micro_batches:
            loss = stage.loss(made, micro)
            torch.testing.assert_close(
                loss.sum, F.cross_entropy(label_logits(made, micro), micro.labels, reduction="sum")
            )
            (loss.sum / batch.count).backward()
        gradients.append(
            {
                name: p.grad.to_dense().clone()
                for name, p in made.named_parameters()
                if p.grad is not None
            }
        )
        made.zero_grad(set_to_none=True)
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("max_length", [24, 6])
def test_many_together_are_told_like_each_alone(max_length: int) -> None:
    made, read = random_classifier(), encoded(max_length)
    together = text_log_probs(
        made, LabelBatches(read, tokenizer().encoder_tokens, LabelBatchConfig(rows=7), 1, CPU)
    ).exp()
    alone = torch.stack([ClassifierForward(made).probabilities(pieces) for pieces in read.pieces])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(alone.sum(1), torch.ones(18))
    if max_length == 24:  # one piece: plainly the softmax
        torch.testing.assert_close(alone[0], made(torch.tensor(read.pieces[0]))[0].softmax(-1))


def test_labels_are_learned_and_the_best_weights_kept(tmp_path: Path) -> None:
    changes = {
        "steps": 40,
        "evaluate_every": 5,
        "patience": 3,
        "monitor": "accuracy",
        "higher_is_better": True,
        "average_decay": 0.0,
    }
    out = run(tmp_path / "run", label_stage(), classifier(), **changes)
    notes = json.loads((out / "training.json").read_text())
    assert notes["first_loss"] == pytest.approx(math.log(2))
    assert notes["figures"]["accuracy"] == 1.0
    assert notes["figures"]["accuracy_low"] < 1.0
    made, _ = model_directory.load(out, kind=Encoder)
    read = encoded()
    told = [int(ClassifierForward(made).probabilities(pieces).argmax()) for pieces in read.pieces]
    assert told == read.labels


def test_stopped_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    run(tmp_path / "whole", label_stage(max_length=8), classifier())
    for asked in (2, 5):
        calls = iter(range(1, 100))
        watcher = Watcher(should_stop=lambda asked=asked, calls=calls: next(calls) >= asked)
        with pytest.raises(Stopped):
            run(tmp_path / "parts", label_stage(max_length=8), classifier(), watcher=watcher)
    run(tmp_path / "parts", label_stage(max_length=8), classifier())
    assert state_bytes(tmp_path / "parts") == state_bytes(tmp_path / "whole")


def test_a_model_that_goes_on_starts_where_its_parent_stood(tmp_path: Path) -> None:
    parent = run(tmp_path / "parent", label_stage(), classifier(), steps=30, average_decay=0.0)
    made, _ = model_directory.load(parent, kind=Encoder)
    run(tmp_path / "child", label_stage(has_fresh_head=False), made, parent)
    with pytest.raises(RunFailed) as failed:
        run(tmp_path / "broken", label_stage(has_fresh_head=False), random_classifier(), parent)
    assert failed.value.check == "continued_loss"


def test_a_fresh_head_on_a_pretrained_encoder_starts_at_an_even_guess(tmp_path: Path) -> None:
    parent = run(tmp_path / "parent", masked_stage(), model())
    out = run(tmp_path / "child", label_stage(), classifier(), parent)
    notes = json.loads((out / "training.json").read_text())
    assert notes["first_loss"] == pytest.approx(math.log(2))
    assert notes["parent"] is not None
