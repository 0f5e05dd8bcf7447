"""A stopped or killed run that is resumed is bit-identical to an uninterrupted run."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small_methods
from small_methods import METHODS
from small_run import (
    LOOP,
    character_tokenizer,
    dpo_stage,
    kto_stage,
    pretrain_stage,
    reward_stage,
    run,
    sft_stage,
    small_model,
    state_bytes,
    stopped_run,
)

from chatwright.checkpoint import model_directory
from chatwright.checkpoint.lock import writer_lock
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.model import lora
from chatwright.model.lora import LoRAConfig
from chatwright.model.transfer import give_scalar_head
from chatwright.training import train_state
from chatwright.training.loop_config import BOOKKEEPING
from chatwright.training.stage import Stage

PROGRAM = Path(small_methods.__file__)
SAVE_EVERY = "2"
StageMaker = Callable[[], Stage[Any, Any]]


@pytest.mark.parametrize("make_stage", [pretrain_stage, sft_stage], ids=["pretrain", "sft"])
def test_stopped_and_resumed_run_equals_uninterrupted_run(
    tmp_path: Path, make_stage: StageMaker
) -> None:
    run(tmp_path / "uninterrupted", stage=make_stage())
    for steps in range(1, 5):
        stopped_run(tmp_path / "resumed", steps, stage=make_stage())
    run(tmp_path / "resumed", stage=make_stage())
    assert state_bytes(tmp_path / "resumed") == state_bytes(tmp_path / "uninterrupted")


@pytest.mark.parametrize("make_stage", [dpo_stage, kto_stage], ids=["dpo", "kto"])
def test_a_resumed_run_on_preferences_keeps_its_reference_and_equals_an_uninterrupted_one(
    tmp_path: Path, make_stage: StageMaker
) -> None:
    """The reference is the model before the first step; a resumed run cannot measure it again."""

    def parts() -> dict[str, Any]:
        return {"stage": make_stage(), "model": small_model(context_length=64)}

    run(tmp_path / "uninterrupted", **parts())
    for steps in range(1, 5):
        stopped_run(tmp_path / "resumed", steps, **parts())
    run(tmp_path / "resumed", **parts())
    assert state_bytes(tmp_path / "resumed") == state_bytes(tmp_path / "uninterrupted")


def test_a_resumed_run_of_a_reward_model_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    def parts() -> dict[str, Any]:
        model = small_model(context_length=64)
        give_scalar_head(model)
        return {"stage": reward_stage(), "model": model}

    run(tmp_path / "uninterrupted", **parts())
    for steps in range(1, 5):
        stopped_run(tmp_path / "resumed", steps, **parts())
    run(tmp_path / "resumed", **parts())
    assert state_bytes(tmp_path / "resumed") == state_bytes(tmp_path / "uninterrupted")


def test_a_resumed_adapter_of_a_reward_model_keeps_its_score(tmp_path: Path) -> None:
    """The score is stored beside the adapter's factors: in checkpoints, and in the result."""
    model_directory.save(tmp_path / "base", small_model(context_length=64), character_tokenizer())

    def parts() -> dict[str, Any]:
        model, _ = model_directory.load(tmp_path / "base")
        give_scalar_head(model)
        lora.attach(model, LoRAConfig(rank=2), generator(1, "lora"))
        return {"stage": reward_stage(), "model": model, "parent": tmp_path / "base"}

    run(tmp_path / "uninterrupted", **parts())
    for steps in range(1, 5):
        stopped_run(tmp_path / "resumed", steps, **parts())
    run(tmp_path / "resumed", **parts())
    weights = "adapter_model.safetensors"
    resumed = state_bytes(tmp_path / "resumed", weights)
    assert resumed == state_bytes(tmp_path / "uninterrupted", weights)


def kill_and_resume(command: list[str], out: Path, steps: int, seed: int, kills: int) -> int:
    """Start the command and kill it at a random time, `kills` times, and then let it finish.

    Returns how many kills came before the end of the program.
    """
    draws = random.Random(seed)
    n_killed = 0
    for _ in range(kills):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        # Wait for a random step and then for a random time, so that kills hit steps and saves.
        last_step = draws.randrange(steps)
        while process.poll() is None and _last_logged_step(out) < last_step:
            time.sleep(0.002)
        time.sleep(draws.random() * 0.03)
        n_killed += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, check=True, capture_output=True)
    return n_killed


def _last_logged_step(out: Path) -> int:
    try:
        return int(json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])["step"])
    except (OSError, IndexError, ValueError):
        return -1


KILLS = [
    pytest.param("pretrain", 3),
    *(pytest.param(m, 2) for m in METHODS if m != "pretrain"),
    pytest.param("pretrain", 200, marks=pytest.mark.full),
    *(
        pytest.param(method, 20, marks=pytest.mark.full)
        for method in METHODS
        if method != "pretrain"
    ),
]


@pytest.mark.timeout(3600)
@pytest.mark.ci
@pytest.mark.parametrize(("method", "kills"), KILLS)
def test_killed_and_resumed_run_equals_uninterrupted_run(
    tmp_path: Path, method: str, kills: int
) -> None:
    def command(out: Path) -> list[str]:
        return [sys.executable, str(PROGRAM), method, str(out), str(steps), SAVE_EVERY]

    steps = 40 if method == "pretrain" else 12
    subprocess.run(command(tmp_path / "uninterrupted"), check=True, capture_output=True)
    n_killed = 0
    for trial in range(max(1, kills // 4)):
        out = tmp_path / f"killed-{trial}"
        n_killed += kill_and_resume(command(out), out, steps, trial, min(kills, 4))
        assert state_bytes(out) == state_bytes(tmp_path / "uninterrupted")
    assert n_killed > 0, "no kill came before the end of a run, so nothing was tested"


def test_run_killed_after_its_last_checkpoint_equals_uninterrupted_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The resumed run repeats its last evaluation, which must be in the log only once.

    The test with 200 random kills found this case.
    """

    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    run(tmp_path / "uninterrupted")
    with monkeypatch.context() as patch:
        patch.setattr("chatwright.training.loop.model_directory.save", kill)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "killed")
    run(tmp_path / "killed")
    assert state_bytes(tmp_path / "killed") == state_bytes(tmp_path / "uninterrupted")


def test_run_resumed_without_the_dropout_generator_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control of the tests above: they would notice a generator that is not saved."""
    under = train_state._under

    def without_generators(tensors: dict[str, Any], prefix: str) -> dict[str, Any]:
        return {} if prefix == "generator/" else under(tensors, prefix)

    monkeypatch.setattr(train_state, "_under", without_generators)
    run(tmp_path / "uninterrupted")
    stopped_run(tmp_path / "resumed", 5)
    run(tmp_path / "resumed")
    assert (
        state_bytes(tmp_path / "resumed")["model"]
        != state_bytes(tmp_path / "uninterrupted")["model"]
    )


def test_damaged_checkpoint_is_skipped_with_a_message(tmp_path: Path) -> None:
    stopped_run(tmp_path / "out", 9)
    newest = sorted((tmp_path / "out" / "checkpoints").glob("step-*"))[-1]
    weights = newest / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-5] ^= 1
    weights.write_bytes(data)
    messages: list[str] = []
    run(tmp_path / "out", say=messages.append)
    run(tmp_path / "uninterrupted")
    assert any(newest.name in message for message in messages)
    assert state_bytes(tmp_path / "out") == state_bytes(tmp_path / "uninterrupted")


def test_second_process_does_not_delete_the_unfinished_checkpoint_of_the_first(
    tmp_path: Path,
) -> None:
    run(tmp_path / "a")
    unfinished = tmp_path / "a" / "checkpoints" / ".tmp-step-00000012-1"
    unfinished.mkdir()
    with writer_lock(tmp_path / "a"), pytest.raises(InputError):
        run(tmp_path / "a")
    assert unfinished.exists()


def test_run_with_other_settings_is_not_resumed(tmp_path: Path) -> None:
    stopped_run(tmp_path / "out", 5)
    with pytest.raises(InputError) as caught:
        run(tmp_path / "out", replace(LOOP, clip=0.5))
    assert caught.value.field == "loop.clip"
    assert caught.value.value == 0.5


def test_error_names_every_changed_setting_with_its_old_and_new_value(tmp_path: Path) -> None:
    stopped_run(tmp_path / "out", 3)
    with pytest.raises(InputError, match=r"loop\.clip .*1\.0.*0\.5.*loop\.seed .*1.*2"):
        run(tmp_path / "out", replace(LOOP, clip=0.5, seed=2))


def test_settings_of_logging_and_saving_may_change_during_a_run(tmp_path: Path) -> None:
    stopped_run(tmp_path / "out", 5)
    changes = {"log_every": 3, "save_every": 2, "save_seconds": 1.0, "keep": 3}
    assert set(changes) == set(BOOKKEEPING)
    assert not any(getattr(LOOP, name) == value for name, value in changes.items())
    run(tmp_path / "out", replace(LOOP, **changes))
    run(tmp_path / "uninterrupted")
    checkpoints = sorted((tmp_path / "out" / "checkpoints").glob("step-*"))
    saved_steps = [int(path.name.removeprefix("step-")) for path in checkpoints]
    assert saved_steps == [8, 10, 12], "saved as the changed settings require"
    resumed = state_bytes(tmp_path / "out")
    uninterrupted = state_bytes(tmp_path / "uninterrupted")
    assert {name for name in resumed if resumed[name] != uninterrupted[name]} == {"log"}


def test_run_with_a_constant_learning_rate_may_be_lengthened(tmp_path: Path) -> None:
    short = replace(LOOP, schedule="constant", steps=8)
    longer = replace(short, steps=12)
    stopped_run(tmp_path / "lengthened", 6, short)
    run(tmp_path / "lengthened", longer)
    run(tmp_path / "uninterrupted", longer)
    assert state_bytes(tmp_path / "lengthened") == state_bytes(tmp_path / "uninterrupted")


def test_wsd_run_may_be_lengthened_only_before_its_decay(tmp_path: Path) -> None:
    short = replace(LOOP, schedule="wsd", decay_share=0.5, steps=12)
    longer = replace(short, steps=20)
    stopped_run(tmp_path / "before", 5, short)
    run(tmp_path / "before", longer)
    run(tmp_path / "uninterrupted", longer)
    assert state_bytes(tmp_path / "before") == state_bytes(tmp_path / "uninterrupted")
    stopped_run(tmp_path / "after", 9, short)
    with pytest.raises(InputError) as caught:
        run(tmp_path / "after", longer)
    assert caught.value.field == "loop.steps"
    assert caught.value.value == 20
