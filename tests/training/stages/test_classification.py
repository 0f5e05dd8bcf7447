"""Classification: its loss is torch's, its runs resume exactly, its labels are learned."""

import json
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from small_encoder import (
    CPU,
    encoded_labels,
    label_stage,
    masked_stage,
    run,
    small_classifier,
    small_model,
    wordpiece_tokenizer,
)
from small_run import state_bytes, stop_after
from torch import Tensor

from chatwright.checkpoint import model_directory
from chatwright.devices import generator
from chatwright.engine.encoder_forward import ClassifierForward
from chatwright.model.encoder import Encoder
from chatwright.training.batches.labels import LabelBatchConfig, LabelBatches
from chatwright.training.checks import RunFailed
from chatwright.training.stages.classification import (
    Classification,
    label_logits,
    text_log_probs,
)
from chatwright.training.watcher import Stopped, Watcher


def random_classifier() -> Encoder:
    """Return a classifier with random weights, including those of the label head."""
    model = small_classifier(dropout=0.0).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.add_(torch.empty_like(p).uniform_(-0.3, 0.3, generator=generator(2, name)))
    return model


def test_loss_equals_torchs_cross_entropy() -> None:
    model = random_classifier()
    stage = label_stage(token_dropout=0.0, rows=18, accumulate=3)
    for micro in stage.next_batch(model).micro_batches:
        logits = label_logits(model, micro)
        expected = F.cross_entropy(logits, micro.labels, reduction="sum")
        torch.testing.assert_close(stage.loss(model, micro).sum, expected)


def test_number_of_micro_batches_does_not_change_the_gradient() -> None:
    model = random_classifier()

    def gradients(accumulate: int) -> dict[str, Tensor]:
        stage = label_stage(token_dropout=0.0, rows=18, accumulate=accumulate)
        batch = stage.next_batch(model)
        model.zero_grad(set_to_none=True)
        for micro in batch.micro_batches:
            (stage.loss(model, micro).sum / batch.count).backward()
        return {
            name: p.grad.to_dense().clone()
            for name, p in model.named_parameters()
            if p.grad is not None
        }

    torch.testing.assert_close(gradients(1), gradients(3), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("max_length", [24, 6], ids=["one piece", "several pieces"])
def test_predictions_in_a_batch_equal_those_of_each_text_alone(max_length: int) -> None:
    model = random_classifier()
    texts = encoded_labels(max_length)
    control = wordpiece_tokenizer().encoder_tokens
    batches = LabelBatches(texts, control, LabelBatchConfig(rows=7), 1, CPU)
    together = text_log_probs(model, batches).exp()
    forward = ClassifierForward(model)
    alone = torch.stack([forward.probabilities(pieces) for pieces in texts.pieces])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(alone.sum(1), torch.ones(18))


def test_probabilities_of_a_text_in_one_piece_are_the_softmax_of_its_logits() -> None:
    model = random_classifier()
    pieces = encoded_labels().pieces[0]
    logits = model(torch.tensor(pieces))[0]
    torch.testing.assert_close(ClassifierForward(model).probabilities(pieces), logits.softmax(-1))


def test_labels_are_learned_and_the_best_weights_are_kept(tmp_path: Path) -> None:
    changes = {
        "steps": 40,
        "evaluate_every": 5,
        "patience": 3,
        "monitor": "accuracy",
        "higher_is_better": True,
        "average_decay": 0.0,
    }
    finished = run(tmp_path / "run", label_stage(), small_classifier(), **changes)
    notes = json.loads((finished / "training.json").read_text())
    assert notes["figures"]["accuracy"] == 1.0
    assert notes["figures"]["accuracy_low"] < 1.0
    model, _ = model_directory.load(finished, kind=Encoder)
    forward = ClassifierForward(model)
    texts = encoded_labels()
    predictions = [int(forward.probabilities(pieces).argmax()) for pieces in texts.pieces]
    assert predictions == texts.labels


def test_stopped_and_resumed_run_equals_uninterrupted_run(tmp_path: Path) -> None:
    def stage() -> Classification:
        return label_stage(max_length=8)

    run(tmp_path / "uninterrupted", stage(), small_classifier())
    for steps in (2, 5):
        watcher = Watcher(should_stop=stop_after(steps))
        with pytest.raises(Stopped):
            run(tmp_path / "resumed", stage(), small_classifier(), watcher=watcher)
    run(tmp_path / "resumed", stage(), small_classifier())
    assert state_bytes(tmp_path / "resumed") == state_bytes(tmp_path / "uninterrupted")


def test_continued_classifier_must_start_at_its_parents_loss(tmp_path: Path) -> None:
    parent = run(
        tmp_path / "parent", label_stage(), small_classifier(), steps=30, average_decay=0.0
    )
    model, _ = model_directory.load(parent, kind=Encoder)
    run(tmp_path / "child", label_stage(has_fresh_head=False), model, parent)
    with pytest.raises(RunFailed) as failed:
        run(tmp_path / "other", label_stage(has_fresh_head=False), random_classifier(), parent)
    assert failed.value.check == "continued_loss"


def test_fresh_head_on_a_pretrained_encoder_starts_at_uniform_predictions(tmp_path: Path) -> None:
    parent = run(tmp_path / "parent", masked_stage(), small_model())
    child = run(tmp_path / "child", label_stage(), small_classifier(), parent)
    notes = json.loads((child / "training.json").read_text())
    assert notes["first_loss"] == pytest.approx(math.log(2))
    assert notes["parent"] is not None
