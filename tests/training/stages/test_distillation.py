"""Distillation: its loss equals the formula, runs resume exactly, validation omits the teacher."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small_encoder
import torch
import torch.nn.functional as F
from small_run import (
    LOOP,
    pretrain_stage,
    run,
    sft_stage,
    small_model,
    state_bytes,
    stop_after,
    stopped_run,
)
from torch import Tensor

from chatwright.checkpoint import model_directory
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.model.gpt import GPT
from chatwright.training.checks import mean_loss
from chatwright.training.outputs import Outputs
from chatwright.training.stage import Stage
from chatwright.training.stages import distillation
from chatwright.training.stages.distillation import (
    Distillation,
    DistillationConfig,
    DistilledCrossEntropy,
    loss_and_gradient,
)
from chatwright.training.watcher import Stopped, Watcher

CONFIG = DistillationConfig(teacher="a directory")
D_STUDENT = 32
TARGETS = torch.tensor([0, 8, 3, 3, 1, 5])
StageMaker = Callable[[], Stage[Any, Any]]


def draw(*shape: int, name: str) -> Tensor:
    return torch.randn(*shape, generator=generator(0, name), dtype=torch.float64)


def expected_loss(
    student: Tensor, teacher: Tensor, targets: Tensor, temperature: float, share: float
) -> Tensor:
    """Return the loss of logits (N, C), from torch's own losses."""
    soft_targets = (teacher / temperature).log_softmax(1)
    soft = F.kl_div(
        (student / temperature).log_softmax(1), soft_targets, reduction="sum", log_target=True
    )
    hard = F.cross_entropy(student, targets, reduction="sum")
    return (1 - share) * hard + share * temperature**2 * soft


@pytest.mark.parametrize(("temperature", "share"), [(1.0, 0.5), (2.0, 0.5), (3.0, 1.0), (0.5, 0.1)])
def test_loss_and_gradient_equal_those_of_torch(temperature: float, share: float) -> None:
    student = draw(6, 9, name="student").requires_grad_()
    teacher = draw(6, 9, name="teacher")
    expected = expected_loss(student, teacher, TARGETS, temperature, share)
    loss, gradient = loss_and_gradient(student.detach(), teacher, TARGETS, temperature, share)
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, student)[0])


@pytest.mark.parametrize("has_bias", [True, False])
def test_loss_of_a_few_rows_at_a_time_equals_that_of_all_rows(
    has_bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_class = 9
    monkeypatch.setattr(distillation, "NUMBERS_AT_ONCE", 2 * n_class)  # two rows at a time
    features = draw(6, 4, name="features").float().requires_grad_()
    weight = draw(n_class, 4, name="weight").float().requires_grad_()
    bias = draw(n_class, name="bias").float().requires_grad_() if has_bias else None
    teacher = Outputs(
        draw(6, 6, name="teacher's features").float(),
        draw(n_class, 6, name="teacher's weight").float(),
        None,
        TARGETS,
    )
    loss = DistilledCrossEntropy.apply(features, weight, bias, TARGETS, teacher, 2.0, 0.3)
    logits = F.linear(features, weight, bias)
    expected = expected_loss(logits, teacher.logits(), TARGETS, 2.0, 0.3)
    torch.testing.assert_close(loss, expected)
    inputs = [features, weight] if bias is None else [features, weight, bias]
    gradients = torch.autograd.grad(3 * loss, inputs)
    expected_gradients = torch.autograd.grad(3 * expected, inputs)
    torch.testing.assert_close(gradients, expected_gradients, atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a trained model of two layers."""
    loop = replace(LOOP, steps=150, average_decay=0.0, evaluate_every=200, save_every=200)
    out = tmp_path_factory.mktemp("teacher")
    return run(out, loop, model=small_model(dropout=0.0, n_layer=2))


def with_teacher(
    teacher: Path, config: DistillationConfig = CONFIG, inner: Stage[Any, Any] | None = None
) -> Distillation[Any, Any]:
    model, _ = model_directory.load(teacher)
    draws = generator(1, "projection")
    inner = inner or pretrain_stage()
    return Distillation(inner, model, "hash of the teacher", config, D_STUDENT, draws)


def fresh_student() -> GPT:
    return small_model(dropout=0.0)


def test_student_equal_to_its_teacher_has_only_the_loss_of_the_targets(teacher: Path) -> None:
    stage = with_teacher(teacher, replace(CONFIG, share=0.4))
    copy, _ = model_directory.load(teacher)
    [micro] = stage.next_batch(copy).micro_batches
    loss_of_targets = stage.loss(copy.eval(), micro).sum
    loss = stage.loss(copy.train(), micro).sum
    torch.testing.assert_close(loss, 0.6 * loss_of_targets, atol=1e-3, rtol=1e-5)


def test_evaluation_measures_the_student_without_its_teacher(teacher: Path) -> None:
    stage = with_teacher(teacher)
    inner = pretrain_stage()
    student = fresh_student()
    batch = inner.next_batch(student)
    assert mean_loss(student, stage, batch) == mean_loss(student, inner, batch)
    figures = stage.evaluate(student.eval())
    assert figures["validation_loss"] == inner.evaluate(student)["validation_loss"]


def test_evaluation_adds_the_teachers_figures(teacher: Path) -> None:
    figures = with_teacher(teacher).evaluate(fresh_student().eval())
    model, _ = model_directory.load(teacher)
    expected = pretrain_stage().evaluate(model)
    assert figures["teacher_validation_loss"] == expected["validation_loss"]


@pytest.mark.parametrize("hidden_weight", [0.0, 0.5])
@pytest.mark.parametrize("make_inner", [pretrain_stage, sft_stage], ids=["pretrain", "sft"])
def test_stopped_and_resumed_run_equals_uninterrupted_run(
    tmp_path: Path, teacher: Path, hidden_weight: float, make_inner: StageMaker
) -> None:
    config = replace(CONFIG, hidden_weight=hidden_weight)

    def stage() -> Distillation[Any, Any]:
        return with_teacher(teacher, config, make_inner())

    run(tmp_path / "uninterrupted", stage=stage(), model=fresh_student())
    for steps in (2, 6):
        stopped_run(tmp_path / "resumed", steps, stage=stage(), model=fresh_student())
    run(tmp_path / "resumed", stage=stage(), model=fresh_student())
    assert state_bytes(tmp_path / "resumed") == state_bytes(tmp_path / "uninterrupted")


def test_projection_is_trained_and_not_part_of_the_result(tmp_path: Path, teacher: Path) -> None:
    stage = with_teacher(teacher, replace(CONFIG, hidden_weight=0.5))
    before = stage.own_weights()["projection"].detach().clone()
    finished = run(tmp_path / "out", stage=stage, model=fresh_student())
    assert not torch.equal(stage.own_weights()["projection"], before)
    model_directory.load(finished)  # raises for a tensor that the model does not have


def test_hidden_weight_brings_the_hidden_states_closer(tmp_path: Path, teacher: Path) -> None:
    stage = with_teacher(teacher, replace(CONFIG, share=0.1, hidden_weight=5.0))
    student = fresh_student()
    inner = pretrain_stage()
    [micro] = inner.next_batch(student).micro_batches

    @torch.no_grad()
    def distance() -> float:
        projected = stage.projection(inner.outputs(student, micro).features)
        features = inner.outputs(stage.teacher, micro).features
        return float((projected - features).square().mean())

    before = distance()
    run(tmp_path / "out", replace(LOOP, steps=60, average_decay=0.0), stage, student)
    assert distance() < before / 2


def test_every_setting_changes_the_loss(teacher: Path) -> None:
    student = fresh_student().train()
    [micro] = pretrain_stage().next_batch(student).micro_batches
    configs = (
        CONFIG,
        replace(CONFIG, temperature=4.0),
        replace(CONFIG, share=0.9),
        replace(CONFIG, hidden_weight=1.0),
    )
    losses = {
        float(with_teacher(teacher, config).loss(student, micro).sum.detach()) for config in configs
    }
    assert len(losses) == len(configs)


def test_teacher_is_not_trained(tmp_path: Path, teacher: Path) -> None:
    stage = with_teacher(teacher)
    run(tmp_path / "out", stage=stage, model=fresh_student())
    original, _ = model_directory.load(teacher)
    for p, expected in zip(stage.teacher.parameters(), original.parameters(), strict=True):
        assert torch.equal(p, expected)


def test_teacher_identifies_the_run(tmp_path: Path, teacher: Path) -> None:
    run(tmp_path / "out", stage=with_teacher(teacher), model=fresh_student())
    settings = json.loads((tmp_path / "out" / "run.json").read_text())
    assert settings["data"]["teacher"] == "hash of the teacher"


@pytest.mark.parametrize(
    ("name", "value"),
    [("teacher", ""), ("temperature", 0.0), ("share", 0.0), ("hidden_weight", -1.0)],
)
def test_setting_out_of_range_is_an_error(name: str, value: object) -> None:
    with pytest.raises(InputError) as caught:
        DistillationConfig(**({"teacher": "a directory"} | {name: value}))
    assert caught.value.field == f"distillation.{name}"
    assert caught.value.value == value


STAGES: dict[str, Callable[[], tuple[Any, Any]]] = {
    "pretrain": lambda: (pretrain_stage(), fresh_student()),
    "sft": lambda: (sft_stage(), fresh_student()),
    "masked-lm": lambda: (small_encoder.masked_stage(), small_encoder.small_model(dropout=0.0)),
    "classify": lambda: (small_encoder.label_stage(), small_encoder.small_classifier(dropout=0.0)),
}


@pytest.mark.parametrize("kind", STAGES)
def test_outputs_of_a_stage_give_its_loss(kind: str) -> None:
    stage, model = STAGES[kind]()
    micro = stage.next_batch(model).micro_batches[0]
    outputs = stage.outputs(model.eval(), micro)
    loss = stage.loss(model, micro)
    expected = F.cross_entropy(outputs.logits(), outputs.targets, reduction="sum")
    torch.testing.assert_close(expected, loss.sum)
    assert len(outputs.targets) == loss.count


ENCODERS: dict[str, tuple[Any, Any]] = {
    "masked-lm": (small_encoder.masked_stage, small_encoder.small_model),
    "classify": (small_encoder.label_stage, small_encoder.small_classifier),
}


@pytest.mark.parametrize("kind", ENCODERS)
def test_distilled_encoder_resumes_exactly(tmp_path: Path, kind: str) -> None:
    make_stage, make_model = ENCODERS[kind]
    config = replace(CONFIG, hidden_weight=0.1)

    def distill(out: Path, **changes: Any) -> None:
        draws = generator(1, "projection")
        teacher = make_model(n_layer=2)
        stage = Distillation(make_stage(), teacher, "hash of the teacher", config, 64, draws)
        small_encoder.run(out, stage, make_model(), **changes)

    distill(tmp_path / "uninterrupted")
    with pytest.raises(Stopped):
        distill(tmp_path / "resumed", watcher=Watcher(should_stop=stop_after(6)))
    distill(tmp_path / "resumed")
    assert state_bytes(tmp_path / "resumed") == state_bytes(tmp_path / "uninterrupted")
