"""A run with patience keeps the weights of its best evaluation, even if it was resumed."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_run import LOOP, log_of, pretrain_stage, run, small_model, state_bytes, stopped_run

from chatwright.checkpoint import safetensors_file
from chatwright.errors import InputError
from chatwright.training.early_stopping import BestEvaluation
from chatwright.training.loop_config import LoopConfig
from chatwright.training.stage import Stage

PATIENT = replace(LOOP, steps=40, evaluate_every=2, save_every=3, patience=3)
# The best of the first eight evaluations is the fifth, at step 8. Three evaluations that are not
# better follow it, so the run stops at step 14 and never reaches the 1.0.
CURVE = [9.0, 7.0, 5.0, 6.0, 4.0, 4.5, 4.0, 8.0, 1.0]
BEST_STEP = 8
LAST_STEP = 14


def stage_with_curve(curve: list[float], name: str = "validation_loss") -> Stage[Any, Any]:
    """Return a stage whose evaluation at step 2 i returns curve[i].

    The step is read from the position in the data, so a resumed run continues the curve.
    """
    stage = pretrain_stage()

    def rows_taken() -> int:
        position = stage.state().numbers
        return position["epoch"] * stage.batches.windows.n + position["position"]

    def evaluate(_: object) -> dict[str, float]:
        # A step takes 8 rows. The evaluation of step 0 comes after the first batch was taken.
        step = rows_taken() // 8
        step = 0 if step == 1 else step
        return {name: curve[step // 2], "other": 1.0}

    stage.evaluate = evaluate
    return stage


def test_stage_with_curve_measures_each_figure_at_its_step(tmp_path: Path) -> None:
    run(tmp_path / "out", PATIENT, stage_with_curve(CURVE))
    evaluations = [record for record in log_of(tmp_path / "out") if "validation_loss" in record]
    measured = [(record["step"], record["validation_loss"]) for record in evaluations]
    assert measured == [(2 * i, figure) for i, figure in enumerate(CURVE[:8])]


@pytest.mark.parametrize("average_decay", [0.0, 0.9])
def test_patience_stops_the_run_and_keeps_the_best_weights(
    tmp_path: Path, average_decay: float
) -> None:
    """The kept weights equal those of the same run without patience, stopped at the best step."""
    messages: list[str] = []
    patient = replace(PATIENT, average_decay=average_decay)
    run(tmp_path / "patient", patient, stage_with_curve(CURVE), say=messages.append)
    numbers = set(re.findall(r"\d+(?:\.\d+)?", messages[-1]))
    assert {str(BEST_STEP), str(LAST_STEP), "4.0000"} <= numbers
    without_patience = replace(patient, patience=0)
    stopped_run(tmp_path / "eight", BEST_STEP, without_patience, stage=stage_with_curve(CURVE))
    checkpoint = tmp_path / "eight" / "checkpoints" / f"step-{BEST_STEP:08d}"
    expected_state = safetensors_file.load(checkpoint / "train_state.safetensors")
    expected = safetensors_file.load(checkpoint / "model.safetensors")
    kept = safetensors_file.load(tmp_path / "patient" / "model" / "model.safetensors")
    last = tmp_path / "patient" / "checkpoints" / f"step-{LAST_STEP:08d}"
    last_state = safetensors_file.load(last / "train_state.safetensors")
    assert kept.keys() == expected.keys()
    if average_decay == 0.0:
        assert all(kept[name].equal(tensor) for name, tensor in expected.items())
    averages = [name for name in expected_state if name.startswith("average/")]
    assert len(averages) == (len(kept) if average_decay else 0)
    for name in averages:
        assert expected_state[name].equal(last_state[name.replace("average/", "best/")])
    notes = json.loads((tmp_path / "patient" / "model" / "training.json").read_text())
    assert notes["steps"] == LAST_STEP
    assert notes["figures"]["validation_loss"] == 4.0


@pytest.mark.parametrize("steps", [1, 3, 8, 9, 13])
def test_stopped_and_resumed_run_equals_uninterrupted_run(tmp_path: Path, steps: int) -> None:
    run(tmp_path / "uninterrupted", PATIENT, stage_with_curve(CURVE))
    stopped_run(tmp_path / "resumed", steps, PATIENT, stage=stage_with_curve(CURVE))
    run(tmp_path / "resumed", PATIENT, stage_with_curve(CURVE))
    assert state_bytes(tmp_path / "resumed") == state_bytes(tmp_path / "uninterrupted")


@pytest.mark.parametrize("steps", [40, 12], ids=["stopped by patience", "all steps done"])
def test_run_killed_after_its_last_checkpoint_equals_uninterrupted_run(
    tmp_path: Path, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    loop = replace(PATIENT, steps=steps)
    run(tmp_path / "uninterrupted", loop, stage_with_curve(CURVE))
    with monkeypatch.context() as patch:
        patch.setattr("chatwright.training.loop.model_directory.save", kill)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "killed", loop, stage_with_curve(CURVE))
    run(tmp_path / "killed", loop, stage_with_curve(CURVE))
    assert state_bytes(tmp_path / "killed") == state_bytes(tmp_path / "uninterrupted")


def test_without_patience_the_last_weights_are_the_result(tmp_path: Path) -> None:
    without_patience = replace(PATIENT, patience=0, steps=12)
    run(tmp_path / "a", without_patience, stage_with_curve(CURVE))
    run(tmp_path / "b", without_patience, stage_with_curve([1.0] * 20))
    assert state_bytes(tmp_path / "a")["model"] == state_bytes(tmp_path / "b")["model"]


def test_patience_can_monitor_a_figure_that_should_rise(tmp_path: Path) -> None:
    loop = replace(PATIENT, monitor="bleu", higher_is_better=True)
    curve = [1.0, 3.0, 9.0, 8.0, 7.0, 6.0, 5.0]
    run(tmp_path / "out", loop, stage_with_curve(curve, "bleu"))
    notes = json.loads((tmp_path / "out" / "model" / "training.json").read_text())
    assert notes["figures"]["bleu"] == 9.0


def test_monitor_that_the_stage_does_not_measure_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        run(tmp_path / "out", replace(PATIENT, monitor="accuracy"), stage_with_curve(CURVE))
    assert caught.value.field == "loop.monitor"
    assert caught.value.value == "accuracy"
    assert "validation_loss" in caught.value.remedy


NAN = float("nan")


@pytest.mark.parametrize(
    ("curve", "best_step"), [([NAN, 2.0, NAN, 3.0], 1), ([2.0, NAN, NAN], 0), ([NAN, NAN], 0)]
)
def test_nan_is_worse_than_any_number(curve: list[float], best_step: int) -> None:
    model = small_model()
    best = BestEvaluation()
    for step, figure in enumerate(curve):
        best.add(step, {"validation_loss": figure}, model, LoopConfig(patience=5))
    assert best.step == best_step
