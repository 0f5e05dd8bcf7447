"""One run equals itself another way: twice, stopped and resumed, killed and resumed, in other micro-batches, padded and packed."""

import dataclasses
import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import small_run
import torch
from small_run import LOOP, model, pretrain_stage, run, sft_stage, state_bytes

from chatwright.checkpoint.lock import writer_lock
from chatwright.errors import InputError
from chatwright.training import loop as training_loop
from chatwright.training import train_state
from chatwright.training.checks import RunFailed
from chatwright.training.cross_entropy import IGNORED
from chatwright.training.loop_config import BOOKKEEPING, LoopConfig
from chatwright.training.optim.optimizer import OptimizerConfig
from chatwright.training.stage import Batch, BatchConfig, MicroBatch
from chatwright.training.watcher import Stopped, Watcher

PROGRAM = Path(small_run.__file__)


def test_two_runs_are_identical_to_the_bit(tmp_path: Path) -> None:
    run(tmp_path / "a")
    run(tmp_path / "b")
    assert state_bytes(tmp_path / "a") == state_bytes(tmp_path / "b")


def test_another_seed_is_another_run(tmp_path: Path) -> None:
    run(tmp_path / "a")
    run(tmp_path / "b", stage=pretrain_stage(seed=2))
    assert state_bytes(tmp_path / "a")["model"] != state_bytes(tmp_path / "b")["model"]


@pytest.mark.parametrize("make_stage", [pretrain_stage, sft_stage], ids=["pretrain", "sft"])
def test_stopped_and_resumed_equals_uninterrupted(tmp_path: Path, make_stage) -> None:
    run(tmp_path / "whole", stage=make_stage())
    for asked in range(1, 5):
        calls = iter(range(1, 100))
        with pytest.raises(Stopped):
            run(
                tmp_path / "parts",
                stage=make_stage(),
                should_stop=lambda asked=asked, calls=calls: next(calls) >= asked,
            )
    run(tmp_path / "parts", stage=make_stage())
    assert state_bytes(tmp_path / "parts") == state_bytes(tmp_path / "whole")


def test_a_slow_machine_saves_sooner_and_ends_the_same(tmp_path: Path) -> None:
    """Every step is longer than a limit of nothing; without one, every fourth is saved."""

    def saved(out: str, **changes: float) -> list[int]:
        steps: list[int] = []
        watcher = Watcher(saved=lambda path: steps.append(int(path.name.removeprefix("step-"))))
        training_loop.train(
            tmp_path / out,
            model(),
            pretrain_stage(),
            small_run.tokenizer(),
            replace(LOOP, **changes),
            watcher,
        )
        return steps

    assert saved("limit", save_seconds=1e-9) == [*range(1, LOOP.steps + 1)]
    assert saved("none", save_seconds=0.0) == saved("far", save_seconds=1e9) == [4, 8, 12]
    assert state_bytes(tmp_path / "limit")["model"] == state_bytes(tmp_path / "none")["model"]


def kill_and_resume(out: Path, steps: int, seed: int, kills: int) -> int:
    """Start the program and kill it at a random moment, `kills` times, then let it finish. Returns how often the kill came in time."""
    draws, landed = random.Random(seed), 0
    command = [sys.executable, str(PROGRAM), str(out), str(steps), "2"]
    for _ in range(kills):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        target = draws.randrange(
            steps
        )  # wait until it is under way, then a little more: kills spread over steps and saves
        while process.poll() is None and _last_step(out) < target:
            time.sleep(0.002)
        time.sleep(draws.random() * 0.03)
        landed += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, check=True, capture_output=True)
    return landed


def _last_step(out: Path) -> int:
    try:
        return int(json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])["step"])
    except (OSError, IndexError, ValueError):
        return -1


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kills", [3, pytest.param(200, marks=pytest.mark.full)])
def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path, kills: int) -> None:
    subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path / "whole"), "40", "2"],
        check=True,
        capture_output=True,
    )
    done = 0
    for trial in range(max(1, kills // 4)):
        done += kill_and_resume(tmp_path / f"killed-{trial}", 40, trial, min(kills, 4))
        assert state_bytes(tmp_path / f"killed-{trial}") == state_bytes(tmp_path / "whole")
    assert done > 0, "no kill came before the end: the test proved nothing"


def test_killed_between_the_last_checkpoint_and_the_model_equals_uninterrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last evaluation is made again then, and must not stand in the log twice. Found by two hundred random kills."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    run(tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr("chatwright.training.loop.model_directory.save", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "killed")
    run(tmp_path / "killed")
    assert state_bytes(tmp_path / "killed") == state_bytes(tmp_path / "whole")


def test_a_forgotten_generator_would_be_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: without the dropout generator's state the resumed run differs."""
    under = train_state._under
    monkeypatch.setattr(
        train_state,
        "_under",
        lambda tensors, prefix: {} if prefix == "generator/" else under(tensors, prefix),
    )
    run(tmp_path / "whole")
    calls = iter(range(1, 100))
    with pytest.raises(Stopped):
        run(tmp_path / "parts", should_stop=lambda: next(calls) >= 5)
    run(tmp_path / "parts")
    assert state_bytes(tmp_path / "parts")["model"] != state_bytes(tmp_path / "whole")["model"]


@pytest.mark.parametrize(
    ("make_stage", "rows"), [(pretrain_stage, 8), (sft_stage, 2)], ids=["pretrain", "sft"]
)
def test_one_by_eight_equals_eight_by_one(tmp_path: Path, make_stage, rows: int) -> None:
    weights = []
    for accumulate in (1, rows):
        made = model(dropout=0.0)
        run(
            tmp_path / str(accumulate),
            replace(LOOP, steps=4),
            make_stage(BatchConfig(rows=rows, context_length=48, accumulate=accumulate)),
            made,
        )
        weights.append(dict(made.named_parameters()))
    for name, p in weights[0].items():
        torch.testing.assert_close(p, weights[1][name], atol=1e-5, rtol=1e-5)


def test_padded_equals_unpadded() -> None:
    stage, made = sft_stage(), model(dropout=0.0)
    [micro] = stage.next_batch(None).micro_batches
    micro = MicroBatch(
        micro.token_ids[:1], micro.targets[:1], micro.document_ids[:1], micro.positions[:1]
    )
    n = int((micro.document_ids >= 0).sum())
    assert n < micro.token_ids.shape[1], "the row must hold padding for the test to mean anything"
    cut = MicroBatch(
        micro.token_ids[:, :n],
        micro.targets[:, :n],
        micro.document_ids[:, :n],
        micro.positions[:, :n],
    )
    gradients = []
    for batch in (micro, cut):
        loss = stage.loss(made, batch)
        gradients.append(torch.autograd.grad(loss.sum, list(made.parameters())))
        assert loss.count == int((cut.targets != IGNORED).sum())
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a.to_dense(), b.to_dense(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("make_stage", [pretrain_stage, sft_stage], ids=["pretrain", "sft"])
def test_each_stage_can_learn_one_batch_by_heart(tmp_path: Path, make_stage) -> None:
    stage = make_stage(BatchConfig(rows=2, context_length=48))
    batch = stage.next_batch(None)
    stage.next_batch = lambda _: batch
    loop = replace(LOOP, steps=120, average_decay=0.0, evaluate_every=1000, save_every=1000)
    run(tmp_path / "out", loop, stage, model(dropout=0.0, d_model=64, d_ff=128))
    last = [
        json.loads(line)
        for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
        if "gradient_norm" in line
    ][-1]
    assert last["loss"] < 0.1


CHANGES = {  # every option and a second value for it
    "steps": 13,
    "precision": "bfloat16",
    "schedule": "cosine",
    "warmup": 6,
    "final_factor": 0.5,
    "decay_share": 0.9,
    "clip": 0.05,
    "average_decay": 0.5,
    "patience": 1,
    "log_every": 3,
    "evaluate_every": 3,
    "save_every": 3,
    "save_seconds": 1e-9,
    "keep": 3,
    "seed": 5,
    "optimizer.kind": "adamw",
    "optimizer.learning_rate": 1e-2,
    "optimizer.matrix_learning_rate": 5e-2,
    "optimizer.embedding_learning_rate": 1e-2,
    "optimizer.ngram_learning_rate": 1e-2,
    "optimizer.beta1": 0.5,
    "optimizer.beta2": 0.5,
    "optimizer.eps": 1e-2,
    "optimizer.sparse_kind": "adagrad",
    "optimizer.momentum": 0.5,
    "optimizer.weight_decay": 0.9,
}
NEEDS_ANOTHER_DEVICE = {"device"}
NEEDS_PATIENCE = {"monitor", "higher_is_better"}  # test_early_stopping.py


def test_every_option_is_in_the_list_below() -> None:
    names = {f.name for f in dataclasses.fields(LoopConfig)} - {"optimizer"} | {
        f"optimizer.{f.name}" for f in dataclasses.fields(OptimizerConfig)
    }
    assert names == CHANGES.keys() | NEEDS_ANOTHER_DEVICE | NEEDS_PATIENCE


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], list[str]]:
    out = tmp_path_factory.mktemp("reference") / "run"
    run(out)
    return state_bytes(out), sorted(p.name for p in (out / "checkpoints").iterdir())


@pytest.mark.parametrize("name", CHANGES)
def test_every_option_has_an_effect(tmp_path: Path, name: str, reference) -> None:
    value = CHANGES[name]
    loop = (
        small_run.with_optimizer(LOOP, **{name.split(".")[1]: value})
        if "." in name
        else replace(LOOP, **{name: value})
    )
    stage = pretrain_stage(dtype=torch.bfloat16) if name == "precision" else pretrain_stage()
    run(tmp_path / "run", loop, stage)
    now = (
        state_bytes(tmp_path / "run"),
        sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir()),
    )
    for state in (now[0], dict(reference[0])):
        state.pop("numbers", None)  # holds the hash of the settings, which any change changes
    assert now != ({k: v for k, v in reference[0].items() if k != "numbers"}, reference[1])


def test_a_batch_without_supervised_tokens_stops_the_run(tmp_path: Path) -> None:
    stage = pretrain_stage()
    stage.next_batch = lambda _: Batch([], 0)
    with pytest.raises(RunFailed, match="chatwright data show --mask") as failed:
        run(tmp_path / "out", stage=stage)
    assert failed.value.check == "supervised"


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    made = model()
    stage = pretrain_stage()
    plain, calls = stage.loss, iter(range(100))

    def poisoned(m, micro):
        loss = plain(m, micro)
        return (
            dataclasses.replace(loss, sum=loss.sum * float("nan"))
            if torch.is_grad_enabled() and next(calls) == 6
            else loss
        )

    stage.loss = poisoned
    with pytest.raises(RunFailed, match="step 6") as failed:
        run(tmp_path / "out", stage=stage, made=made)
    assert failed.value.check == "finite"
    assert [p.name for p in (tmp_path / "out" / "checkpoints").iterdir()] == ["step-00000004"]
    assert all(p.isfinite().all() for p in made.parameters())


def test_a_fresh_model_outside_its_band_is_refused(tmp_path: Path) -> None:
    made = model()
    with torch.no_grad():
        made.embedding.weight.mul_(100)
    with pytest.raises(RunFailed) as failed:
        run(tmp_path / "out", made=made)
    assert failed.value.check == "fresh_loss"


def test_a_continued_model_must_start_where_its_parent_stood(tmp_path: Path) -> None:
    parent = run(tmp_path / "parent", replace(LOOP, steps=60, evaluate_every=100, save_every=100))
    from chatwright.checkpoint import model_directory

    good, _ = model_directory.load(parent)
    run(tmp_path / "good", made=good, stage=sft_stage(), parent=parent)
    bad, _ = model_directory.load(parent)
    with torch.no_grad():
        bad.blocks[0].feed_forward.down.weight.mul_(-3)
    with pytest.raises(RunFailed) as failed:
        run(tmp_path / "bad", made=bad, stage=sft_stage(), parent=parent)
    assert failed.value.check == "continued_loss"


def test_other_settings_cannot_go_on_in_the_same_folder(tmp_path: Path) -> None:
    calls = iter(range(1, 100))
    with pytest.raises(Stopped):
        run(tmp_path / "out", should_stop=lambda: next(calls) >= 5)
    with pytest.raises(InputError, match="loop.clip was 1.0, is 0.5") as refused:
        run(tmp_path / "out", replace(LOOP, clip=0.5))
    assert refused.value.field == "loop.clip"


def test_when_something_is_saved_or_written_down_may_be_changed_in_the_middle_of_a_run(
    tmp_path: Path,
) -> None:
    calls = iter(range(1, 100))
    with pytest.raises(Stopped):
        run(tmp_path / "out", should_stop=lambda: next(calls) >= 5)
    changed = {"log_every": 3, "save_every": 2, "save_seconds": 1.0, "keep": 3}
    assert set(changed) == set(BOOKKEEPING)
    assert not any(getattr(LOOP, name) == value for name, value in changed.items())
    run(tmp_path / "out", replace(LOOP, **changed))
    run(tmp_path / "whole")
    saved = [
        int(path.name.removeprefix("step-"))
        for path in sorted((tmp_path / "out" / "checkpoints").glob("step-*"))
    ]
    assert saved == [8, 10, 12], "as the changed settings say"
    ours, theirs = (state_bytes(tmp_path / name) for name in ("out", "whole"))
    assert {name for name in ours if ours[name] != theirs[name]} == {"log"}, (
        "nothing but what was written down differs"
    )


def test_a_second_run_leaves_alone_what_the_first_is_building(tmp_path: Path) -> None:
    run(tmp_path / "a")
    building = tmp_path / "a" / "checkpoints" / ".tmp-step-00000012-1"
    building.mkdir()
    with writer_lock(tmp_path / "a"), pytest.raises(ValueError, match="is writing"):
        run(tmp_path / "a")
    assert building.exists()


def test_a_damaged_checkpoint_is_passed_over_and_said(tmp_path: Path) -> None:
    calls = iter(range(1, 100))
    with pytest.raises(Stopped):
        run(tmp_path / "out", should_stop=lambda: next(calls) >= 9)
    newest = sorted((tmp_path / "out" / "checkpoints").glob("step-*"))[-1]
    weights = newest / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-5] ^= 1
    weights.write_bytes(data)
    said: list[str] = []
    run(tmp_path / "out", say=said.append)
    run(tmp_path / "whole")
    assert any(str(newest) in sentence for sentence in said)
    assert state_bytes(tmp_path / "out") == state_bytes(tmp_path / "whole")


def test_the_average_is_the_result_and_leaves_the_training_weights_alone(tmp_path: Path) -> None:
    made = model()
    run(tmp_path / "out", made=made)
    states = state_bytes(tmp_path / "out")
    assert states["model"] != states["weights"]
    weights = {name: p.clone() for name, p in made.named_parameters()}
    with training_loop.use_weights(
        made, {name: torch.zeros_like(p) for name, p in weights.items()}
    ):
        assert all((p == 0).all() for p in made.parameters())
    assert all(torch.equal(p, weights[name]) for name, p in made.named_parameters())


def stopped_run(out: Path, loop: LoopConfig, steps: int) -> None:
    """Begin a run and stop it after some steps."""
    calls = iter(range(1, 1000))
    with pytest.raises(Stopped):
        run(out, loop, should_stop=lambda: next(calls) >= steps)


def test_a_run_with_a_constant_rate_may_be_lengthened_and_equals_the_longer_run(
    tmp_path: Path,
) -> None:
    short = replace(LOOP, schedule="constant", steps=8)
    longer = replace(short, steps=12)
    stopped_run(tmp_path / "lengthened", short, 6)
    run(tmp_path / "lengthened", longer)
    run(tmp_path / "whole", longer)
    assert state_bytes(tmp_path / "lengthened") == state_bytes(tmp_path / "whole")


def test_a_wsd_run_may_be_lengthened_only_before_its_decay(tmp_path: Path) -> None:
    short = replace(LOOP, schedule="wsd", decay_share=0.5, steps=12)
    longer = replace(short, steps=20)
    stopped_run(tmp_path / "before", short, 5)
    run(tmp_path / "before", longer)
    run(tmp_path / "whole", longer)
    assert state_bytes(tmp_path / "before") == state_bytes(tmp_path / "whole")
    stopped_run(tmp_path / "after", short, 9)
    with pytest.raises(InputError) as refused:
        run(tmp_path / "after", longer)
    assert refused.value.field == "loop.steps"
    assert refused.value.value == 20


def test_every_changed_setting_is_named_with_both_values(tmp_path: Path) -> None:
    stopped_run(tmp_path / "out", LOOP, 3)
    with pytest.raises(InputError, match="loop.clip was 1.0, is 0.5; loop.seed was 1, is 2"):
        run(tmp_path / "out", replace(LOOP, clip=0.5, seed=2))
