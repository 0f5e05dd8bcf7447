"""A run with patience ends where patience ends, with the weights of its best evaluation, and resumed it ends the same."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from small_run import LOOP, model, pretrain_stage, run, state_bytes

from chatwright.checkpoint import safetensors_file
from chatwright.training.early_stopping import BestEvaluation
from chatwright.training.loop_config import LoopConfig
from chatwright.training.stage import Stage
from chatwright.training.watcher import Stopped

PATIENT = replace(LOOP, steps=40, evaluate_every=2, save_every=3, patience=3)
CURVE = [
    9.0,
    7.0,
    5.0,
    6.0,
    4.0,
    4.5,
    4.0,
    8.0,
    1.0,
]  # best at the fifth evaluation (step 8), three no better after it; never reaches the 1


def scripted(curve: list[float], name: str = "validation_loss") -> Callable[[], Stage]:
    """A stage whose evaluations follow a curve by the step they stand at, which is told by the data's position."""

    def make() -> Stage:
        stage = pretrain_stage()

        def taken() -> int:
            state = stage.state().numbers
            return state["epoch"] * stage.batches.windows.n + state["position"]

        stage.evaluate = lambda _: {
            name: curve[max(0, taken() // 8 - (taken() == 8)) // 2],
            "other": 1.0,
        }
        return stage

    return make


def test_the_curve_is_read_at_the_right_steps(tmp_path: Path) -> None:
    run(tmp_path / "out", PATIENT, scripted(CURVE)())
    logged = [
        json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    ]
    assert [(r["step"], r["validation_loss"]) for r in logged if "validation_loss" in r] == [
        (2 * i, figure) for i, figure in enumerate(CURVE[:8])
    ]


@pytest.mark.parametrize("average_decay", [0.0, 0.9])
def test_patience_ends_the_run_and_the_best_weights_are_the_result(
    tmp_path: Path, average_decay: float
) -> None:
    said: list[str] = []
    patient = replace(PATIENT, average_decay=average_decay)
    run(tmp_path / "patient", patient, scripted(CURVE)(), say=said.append)
    assert said[-1] == (
        "the weights of step 8 are kept: validation_loss 4.0000. Stopped at step 14 of 40, after 3 evaluations that were no better"
    )
    # Equal to what? A run of the same 40 planned steps, stopped by hand at step 8: what it would evaluate there.
    calls = iter(range(1, 100))
    with pytest.raises(Stopped):
        run(
            tmp_path / "eight",
            replace(patient, patience=0),
            scripted(CURVE)(),
            should_stop=lambda: next(calls) >= 8,
        )
    checkpoint = tmp_path / "eight" / "checkpoints" / "step-00000008"
    state = safetensors_file.load(checkpoint / "train_state.safetensors")
    kept = safetensors_file.load(tmp_path / "patient" / "model" / "model.safetensors")
    there = safetensors_file.load(checkpoint / "model.safetensors")
    best = safetensors_file.load(
        tmp_path / "patient" / "checkpoints" / "step-00000014" / "train_state.safetensors"
    )
    assert kept.keys() == there.keys()
    if average_decay == 0.0:
        assert all(kept[name].equal(t) for name, t in there.items())
    averages = [name for name in state if name.startswith("average/")]
    assert len(averages) == (len(kept) if average_decay else 0)
    assert all(state[name].equal(best[name.replace("average/", "best/")]) for name in averages)
    notes = json.loads((tmp_path / "patient" / "model" / "training.json").read_text())
    assert (notes["steps"], notes["figures"]["validation_loss"]) == (14, 4.0)


@pytest.mark.parametrize("asked", [1, 3, 8, 9, 13])
def test_stopped_and_resumed_equals_uninterrupted(tmp_path: Path, asked: int) -> None:
    run(tmp_path / "whole", PATIENT, scripted(CURVE)())
    calls = iter(range(1, 100))
    with pytest.raises(Stopped):
        run(
            tmp_path / "parts", PATIENT, scripted(CURVE)(), should_stop=lambda: next(calls) >= asked
        )
    run(tmp_path / "parts", PATIENT, scripted(CURVE)())
    assert state_bytes(tmp_path / "parts") == state_bytes(tmp_path / "whole")


@pytest.mark.parametrize("steps", [40, 12], ids=["gave up", "reached its end"])
def test_killed_between_the_last_checkpoint_and_the_model_equals_uninterrupted(
    tmp_path: Path, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    loop = replace(PATIENT, steps=steps)
    run(tmp_path / "whole", loop, scripted(CURVE)())
    with monkeypatch.context() as patch:
        patch.setattr("chatwright.training.loop.model_directory.save", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "killed", loop, scripted(CURVE)())
    run(tmp_path / "killed", loop, scripted(CURVE)())
    assert state_bytes(tmp_path / "killed") == state_bytes(tmp_path / "whole")


def test_without_patience_the_last_weights_are_the_result(tmp_path: Path) -> None:
    run(tmp_path / "a", replace(PATIENT, patience=0, steps=12), scripted(CURVE)())
    run(tmp_path / "b", replace(PATIENT, patience=0, steps=12), scripted([1.0] * 20)())
    assert state_bytes(tmp_path / "a")["model"] == state_bytes(tmp_path / "b")["model"]


def test_another_figure_and_the_other_direction(tmp_path: Path) -> None:
    config = replace(PATIENT, monitor="bleu", higher_is_better=True)
    run(tmp_path / "out", config, scripted([1.0, 3.0, 9.0, 8.0, 7.0, 6.0, 5.0], "bleu")())
    assert (
        json.loads((tmp_path / "out" / "model" / "training.json").read_text())["figures"]["bleu"]
        == 9.0
    )
    with pytest.raises(
        ValueError,
        match="loop.monitor",
    ):
        run(tmp_path / "wrong", replace(PATIENT, monitor="accuracy"), scripted(CURVE)())
    with pytest.raises(ValueError, match="loop.patience"):
        replace(PATIENT, patience=-1)


def test_a_figure_that_is_not_a_number_is_worse_than_all_and_better_than_nothing() -> None:
    nan, made = float("nan"), model()
    for curve, wanted in (([nan, 2.0, nan, 3.0], 1), ([2.0, nan, nan], 0), ([nan, nan], 0)):
        best = BestEvaluation()
        for step, figure in enumerate(curve):
            best.add(step, {"validation_loss": figure}, made, LoopConfig(patience=5))
        assert best.step == wanted
