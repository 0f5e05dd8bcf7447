"""The distilled loss is its formula, its gradients are autograd's; a run with a teacher resumes to the bit and its student stands alone."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import small_encoder
import torch
import torch.nn.functional as F
from small_run import LOOP, model, pretrain_stage, run, sft_stage, state_bytes
from torch import Tensor

from chatwright.checkpoint import model_directory
from chatwright.devices import generator
from chatwright.model.gpt import GPT
from chatwright.training.checks import mean_loss
from chatwright.training.outputs import Outputs
from chatwright.training.stage import Stage
from chatwright.training.stages import distillation
from chatwright.training.stages.distillation import (
    DistillationConfig,
    DistilledCrossEntropy,
    loss_and_gradient,
)
from chatwright.training.watcher import Stopped, Watcher

PLAIN = DistillationConfig(teacher="by hand")


def draw(*shape: int, name: str) -> Tensor:
    return torch.randn(*shape, generator=generator(0, name), dtype=torch.float64)


def slow(own: Tensor, theirs: Tensor, targets: Tensor, T: float, share: float) -> Tensor:
    """By torch's own losses."""
    soft = F.kl_div(
        (own / T).log_softmax(1), (theirs / T).log_softmax(1), reduction="sum", log_target=True
    )
    return (1 - share) * F.cross_entropy(own, targets, reduction="sum") + share * T * T * soft


@pytest.mark.parametrize(("T", "share"), [(1.0, 0.5), (2.0, 0.5), (3.0, 1.0), (0.5, 0.1)])
def test_loss_and_gradient_are_those_of_torch(T: float, share: float) -> None:
    own, theirs, targets = (
        draw(6, 9, name="own").requires_grad_(),
        draw(6, 9, name="theirs"),
        torch.tensor([0, 8, 3, 3, 1, 5]),
    )
    expected = slow(own, theirs, targets, T, share)
    loss, slope = loss_and_gradient(own.detach(), theirs, targets, T, share)
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(slope, torch.autograd.grad(expected, own)[0])


@pytest.mark.parametrize("has_bias", [True, False])
def test_rows_in_pieces_equal_rows_together(
    has_bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distillation, "NUMBERS_AT_ONCE", 9 * 2)  # two rows at a time
    features, weight = (
        draw(7, 4, name="f").float().requires_grad_(),
        draw(9, 4, name="w").float().requires_grad_(),
    )
    bias = draw(9, name="b").float().requires_grad_() if has_bias else None
    targets = torch.tensor([0, 8, 3, 3, 1, 5, 2])
    teacher = Outputs(draw(7, 6, name="tf").float(), draw(9, 6, name="tw").float(), None, targets)
    inputs = [features, weight] + ([bias] if bias is not None else [])
    ours = DistilledCrossEntropy.apply(features, weight, bias, targets, teacher, 2.0, 0.3)
    expected = slow(F.linear(features, weight, bias), teacher.logits(), targets, 2.0, 0.3)
    torch.testing.assert_close(ours, expected)
    for a, b in zip(
        torch.autograd.grad(3 * ours, inputs),
        torch.autograd.grad(3 * expected, inputs),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(
        tmp_path_factory.mktemp("teacher"),
        replace(LOOP, steps=150, average_decay=0.0, evaluate_every=200, save_every=200),
        made=model(dropout=0.0, n_layer=2),
    )


def distilled(
    teacher: Path, config: DistillationConfig = PLAIN, inner: Stage | None = None
) -> distillation.Distillation:
    loaded, _ = model_directory.load(teacher)
    return distillation.Distillation(
        inner or pretrain_stage(), loaded, "a teacher", config, 32, generator(1, "projection")
    )


def student(**changes: object) -> GPT:
    return model(dropout=0.0, **changes)


def test_a_student_that_is_its_teacher_loses_only_the_hard_part(teacher: Path) -> None:
    stage = distilled(teacher, replace(PLAIN, share=0.4))
    twin, _ = model_directory.load(teacher)
    [micro] = stage.next_batch(None).micro_batches
    alone = stage.loss(twin.eval(), micro).sum
    torch.testing.assert_close(
        stage.loss(twin.train(), micro).sum, 0.6 * alone, atol=1e-3, rtol=1e-5
    )


def test_in_evaluation_the_student_stands_alone(teacher: Path) -> None:
    stage, plain = distilled(teacher), pretrain_stage()
    batch = plain.next_batch()
    made = student()
    assert mean_loss(made, stage, batch) == mean_loss(made, plain, batch)
    figures = stage.evaluate(made.eval())
    assert figures["validation_loss"] == plain.evaluate(made)["validation_loss"]
    assert (
        figures["teacher_validation_loss"]
        == plain.evaluate(model_directory.load(teacher)[0])["validation_loss"]
    )


@pytest.mark.parametrize(
    "config", [PLAIN, replace(PLAIN, hidden_weight=0.5)], ids=["soft targets", "hidden states too"]
)
@pytest.mark.parametrize("inner", [pretrain_stage, sft_stage])
def test_stopped_and_resumed_equals_uninterrupted(
    tmp_path: Path, teacher: Path, config: DistillationConfig, inner
) -> None:
    run(tmp_path / "whole", stage=distilled(teacher, config, inner()), made=student())
    for asked in (2, 6):
        calls = iter(range(1, 100))
        with pytest.raises(Stopped):
            run(
                tmp_path / "parts",
                stage=distilled(teacher, config, inner()),
                made=student(),
                should_stop=lambda asked=asked, calls=calls: next(calls) >= asked,
            )
    run(tmp_path / "parts", stage=distilled(teacher, config, inner()), made=student())
    assert state_bytes(tmp_path / "parts") == state_bytes(tmp_path / "whole")


def test_the_projection_is_learned_and_thrown_away(tmp_path: Path, teacher: Path) -> None:
    stage = distilled(teacher, replace(PLAIN, hidden_weight=0.5))
    before = stage.own_weights()["projection"].detach().clone()
    finished = run(tmp_path / "out", stage=stage, made=student())
    assert not torch.equal(stage.own_weights()["projection"], before)
    model_directory.load(finished)  # would refuse a tensor that is not the model's


def test_hidden_states_come_nearer_to_the_teachers(tmp_path: Path, teacher: Path) -> None:
    stage = distilled(teacher, replace(PLAIN, share=0.1, hidden_weight=5.0))
    made, learned = student(), stage.outputs_of
    [micro] = pretrain_stage().next_batch(None).micro_batches

    def distance() -> float:
        with torch.no_grad():
            return float(
                (
                    stage.projection(learned.outputs(made, micro).features)
                    - learned.outputs(stage.teacher, micro).features
                )
                .square()
                .mean()
            )

    before = distance()
    run(tmp_path / "out", replace(LOOP, steps=60, average_decay=0.0), stage, made)
    assert distance() < before / 2


def test_an_option_changed_is_another_loss(teacher: Path) -> None:
    [micro] = pretrain_stage().next_batch(None).micro_batches
    made = student().train()
    losses = {
        float(distilled(teacher, config).loss(made, micro).sum.detach())
        for config in (
            PLAIN,
            replace(PLAIN, temperature=4.0),
            replace(PLAIN, share=0.9),
            replace(PLAIN, hidden_weight=1.0),
        )
    }
    assert len(losses) == 4


def test_the_teacher_stays_as_it_is(tmp_path: Path, teacher: Path) -> None:
    stage = distilled(teacher)
    run(tmp_path / "out", stage=stage, made=student())
    original, _ = model_directory.load(teacher)
    assert all(
        torch.equal(p, q)
        for p, q in zip(stage.teacher.parameters(), original.parameters(), strict=True)
    )
    assert json.loads((tmp_path / "out" / "run.json").read_text())["data"]["teacher"] == "a teacher"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": ""}, "teacher"),
        ({"temperature": 0.0}, "temperature"),
        ({"share": 0.0}, "share"),
        ({"hidden_weight": -1.0}, "hidden_weight"),
    ],
)
def test_settings_outside_their_range_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DistillationConfig(**({"teacher": "x"} | changes))


@pytest.mark.parametrize("kind", ["pretrain", "sft", "masked-lm", "classify"])
def test_every_stage_that_can_have_a_teacher_says_what_its_loss_is_made_of(kind: str) -> None:
    stage, made = {
        "pretrain": lambda: (pretrain_stage(), model(dropout=0.0)),
        "sft": lambda: (sft_stage(), model(dropout=0.0)),
        "masked-lm": lambda: (small_encoder.masked_stage(), small_encoder.model(dropout=0.0)),
        "classify": lambda: (small_encoder.label_stage(), small_encoder.classifier(dropout=0.0)),
    }[kind]()
    micro = stage.next_batch(None).micro_batches[0]
    outputs = stage.outputs(made.eval(), micro)
    loss = stage.loss(made, micro)
    torch.testing.assert_close(
        F.cross_entropy(outputs.logits(), outputs.targets, reduction="sum"), loss.sum
    )
    assert len(outputs.targets) == loss.count


@pytest.mark.parametrize("kind", ["masked-lm", "classify"])
def test_an_encoder_learns_from_an_encoder_and_resumes_to_the_bit(
    tmp_path: Path, kind: str
) -> None:
    make_stage, make_model = {
        "masked-lm": (small_encoder.masked_stage, small_encoder.model),
        "classify": (small_encoder.label_stage, small_encoder.classifier),
    }[kind]
    config = replace(PLAIN, hidden_weight=0.1)

    def go(out: Path, **changes: object) -> Path:
        taught = distillation.Distillation(
            make_stage(), make_model(n_layer=2), "a teacher", config, 64, generator(1, "projection")
        )
        return small_encoder.run(out, taught, make_model(), **changes)

    go(tmp_path / "whole")
    calls = iter(range(1, 100))
    with pytest.raises(Stopped):
        go(tmp_path / "parts", watcher=Watcher(should_stop=lambda: next(calls) >= 6))
    go(tmp_path / "parts")
    assert state_bytes(tmp_path / "parts") == state_bytes(tmp_path / "whole")
