"""Contrastive training: its loss is worked by hand and torch's; it learns; it resumes exactly."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from small_embedding import (
    HELD_OUT,
    PAIRS,
    TOY,
    TRAINED,
    embedding_stage,
    small_model,
    tokenizer,
)
from small_run import LOOP, state_bytes, stop_after
from torch import Tensor

from chatwright.checkpoint import model_directory
from chatwright.data.rows import TextPair
from chatwright.devices import generator
from chatwright.model.encoder import Encoder
from chatwright.training.checks import RunFailed
from chatwright.training.loop import train
from chatwright.training.loop_config import LoopConfig
from chatwright.training.stage import Loss
from chatwright.training.stages.embedding import ContrastiveEmbedding
from chatwright.training.watcher import Stopped, Watcher

NONE = torch.zeros(2, 3, dtype=torch.bool)


def random_model(**changes: object) -> Encoder:
    model = small_model(**{"dropout": 0.0} | changes).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.add_(torch.empty_like(p).uniform_(-0.3, 0.3, generator=generator(2, name)))
    return model


def run(
    out: Path,
    stage: ContrastiveEmbedding,
    model: Encoder,
    parent: Path | None = None,
    loop: LoopConfig = LOOP,
    watcher: Watcher = Watcher(),
) -> Path:
    return train(out, model, stage, tokenizer(), loop, watcher, parent)


def test_the_loss_is_that_worked_out_by_hand() -> None:
    """Temperature 0.5. Row 1 has logits (2, 0, 1), row 2 has (1, 1, -1).

    -log softmax: ln(1 + e^-2 + e^-1) = 0.407606 and ln(1 + 1 + e^-2) = 0.758624. Without the
    third candidate: ln(1 + e^-2) = 0.126928 and ln 2 = 0.693147.
    """
    stage = embedding_stage(temperature=0.5)
    cosines = torch.tensor([[1.0, 0.0, 0.5], [0.5, 0.5, -0.5]])
    whole = stage.contrastive_loss(cosines, NONE)
    assert float(whole.sum) == pytest.approx(0.407606 + 0.758624, abs=1e-5)
    assert whole.count == 2
    is_left_out = torch.tensor([[False, False, True], [False, False, True]])
    without = stage.contrastive_loss(cosines, is_left_out)
    assert float(without.sum) == pytest.approx(0.126928 + 0.693147, abs=1e-5)


def test_accuracy_is_the_share_of_anchors_whose_text_is_nearest() -> None:
    cosines = torch.tensor([[0.9, 0.1, 0.2], [0.8, 0.7, 0.1]])
    loss = embedding_stage().contrastive_loss(cosines, NONE)
    assert loss.metrics == {"accuracy": 0.5}


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_the_loss_of_a_batch_is_torchs_cross_entropy_of_texts_encoded_alone(pooling: str) -> None:
    model = random_model(pooling=pooling)
    rows = [
        TextPair("the cat", "neko", TOY, "inu to neko"),
        TextPair("the dog and the fish", "inu to sakana", TOY),
        TextPair("the cat", "neko to neko", TOY, "kuma"),
    ]
    stage = embedding_stage(rows=3, temperature=0.2, pairs=rows)
    [micro] = stage.next_batch(model).micro_batches

    def alone(token_ids: Tensor, length: int) -> Tensor:
        hidden = model(token_ids[None, :length])[0]
        pooled = {"mean": hidden.mean(0), "cls": hidden[0], "max": hidden.max(0).values}[pooling]
        return pooled / pooled.norm()

    with torch.no_grad():
        anchors, candidates = (
            torch.stack([alone(ids, int(n)) for ids, n in zip(t.token_ids, t.lengths, strict=True)])
            for t in (micro.anchors, micro.candidates)
        )
        logits = anchors @ candidates.T / 0.2
        # "neko" and "neko to neko" both belong to the cat.
        assert int(micro.is_left_out.sum()) == 2
        logits[micro.is_left_out] = -torch.inf
        expected = F.cross_entropy(logits, torch.arange(3), reduction="sum")
        found = stage.loss(model, micro)
    torch.testing.assert_close(found.sum, expected, atol=1e-4, rtol=1e-5)


def test_the_gradient_equals_that_of_finite_differences() -> None:
    model = random_model().double()
    stage = embedding_stage(rows=4)
    stage.dtype = torch.float64
    [micro] = stage.next_batch(model).micro_batches
    stage.loss(model, micro).sum.backward()
    weight = model.blocks[0].get_submodule("attention").get_parameter("value.weight")
    assert weight.grad is not None
    for index in ((0, 0), (5, 9), (31, 3)):
        losses = []
        for step in (1e-3, -1e-3):
            with torch.no_grad():
                weight[index] += step
                losses.append(float(stage.loss(model, micro).sum))
                weight[index] -= step
        # Vectors are pooled in float32, which limits the precision of the difference.
        slope = (losses[0] - losses[1]) / 2e-3
        assert float(weight.grad[index]) == pytest.approx(slope, abs=3e-3, rel=0.02)


def test_the_loss_of_random_pairs_is_at_least_ln_of_the_batch() -> None:
    for scale in (1.0, 0.05):
        stage = embedding_stage(rows=6, temperature=scale)
        model = random_model()
        batch = stage.next_batch(model)
        random_loss = stage.random_pairs_loss(model, batch)
        assert random_loss >= math.log(6)
        # The slow obvious version: every assignment by rotation, from the cosines.
        [micro] = batch.micro_batches
        with torch.no_grad():
            cosines = stage._cosines(model, micro)
        losses = [
            F.cross_entropy(cosines / scale, (torch.arange(6) + shift) % 6) for shift in range(6)
        ]
        assert random_loss == pytest.approx(float(torch.stack(losses).mean()), rel=1e-4)


class HalvedLoss(ContrastiveEmbedding):
    """A stage with a planted bug."""

    def contrastive_loss(self, cosines: Tensor, is_left_out: Tensor) -> Loss:
        loss = super().contrastive_loss(cosines, is_left_out)
        return Loss(loss.sum / 2, loss.count, loss.metrics)


class UnscaledVectors(ContrastiveEmbedding):
    """A stage that forgets to divide by the lengths of the vectors."""

    def _unit_vectors(self, model: Encoder, texts: object) -> Tensor:
        return 10.0 * super()._unit_vectors(model, texts)  # type: ignore[arg-type]


@pytest.mark.parametrize("broken", [HalvedLoss, UnscaledVectors])
def test_a_wrongly_computed_loss_is_found_before_the_first_step(
    broken: type[ContrastiveEmbedding], tmp_path: Path
) -> None:
    whole = embedding_stage()
    stage = broken(whole.batches, whole.validation, torch.float32, whole.temperature)
    with pytest.raises(RunFailed) as failed:
        run(tmp_path / "run", stage, small_model())
    assert failed.value.check == "random_pairs"


def test_training_on_pairs_raises_recall_on_pairs_never_seen(tmp_path: Path) -> None:
    loop = replace(LOOP, steps=120, evaluate_every=20, patience=6, average_decay=0.0, warmup=5)
    model = small_model()
    before = embedding_stage().evaluate(model.eval())
    finished = run(tmp_path / "run", embedding_stage(rows=16), model, loop=loop)
    notes = json.loads((finished / "training.json").read_text())
    after = notes["figures"]
    assert before["recall_at_1"] <= 0.35
    assert after["recall_at_1"] >= 0.8
    assert after["recall_at_1_low"] > before["recall_at_1_high"]
    assert after["mean_reciprocal_rank"] > before["mean_reciprocal_rank"]
    assert after["spearman"] > before["spearman"] + 0.2
    trained, _ = model_directory.load(finished, kind=Encoder)
    again = embedding_stage(rows=16).evaluate(trained)
    assert again["recall_at_1"] == after["recall_at_1"]
    assert again["validation_loss"] == pytest.approx(after["validation_loss"], rel=1e-3)


def test_no_held_out_pair_is_trained_on() -> None:
    assert {pair.anchor for pair in TRAINED}.isdisjoint(pair.anchor for pair in HELD_OUT)
    assert len(TRAINED) + len(HELD_OUT) == len(PAIRS) == 56


def test_validation_loss_is_the_mean_loss_of_its_groups() -> None:
    model = random_model()
    stage = embedding_stage(rows=5)
    with torch.no_grad():
        losses = [
            stage.loss(model, stage.validation.micro_batch(rows))
            for rows in stage.validation.groups()
        ]
        figures = stage.evaluate(model)
    expected = sum(float(loss.sum) for loss in losses) / sum(loss.count for loss in losses)
    assert figures["validation_loss"] == pytest.approx(expected, rel=1e-4)


def test_stopped_and_resumed_run_equals_uninterrupted_run(tmp_path: Path) -> None:
    run(tmp_path / "uninterrupted", embedding_stage(), small_model())
    for steps in (2, 5):
        watcher = Watcher(should_stop=stop_after(steps))
        with pytest.raises(Stopped):
            run(tmp_path / "resumed", embedding_stage(), small_model(), watcher=watcher)
    run(tmp_path / "resumed", embedding_stage(), small_model())
    assert state_bytes(tmp_path / "resumed") == state_bytes(tmp_path / "uninterrupted")


def test_a_continued_encoder_must_start_at_its_parents_loss(tmp_path: Path) -> None:
    parent = run(tmp_path / "parent", embedding_stage(), small_model())
    model, _ = model_directory.load(parent, kind=Encoder)
    child = run(tmp_path / "child", embedding_stage(), model, parent)
    assert json.loads((child / "training.json").read_text())["parent"] is not None
    # Another pooling than the parent's is a setting, not a wrong start.
    pooled, _ = model_directory.load(parent, kind=Encoder, changes={"pooling": "cls"})
    run(tmp_path / "pooled", embedding_stage(), pooled, parent)
    with pytest.raises(RunFailed) as failed:
        run(tmp_path / "other", embedding_stage(), random_model(), parent)
    assert failed.value.check == "continued_loss"
