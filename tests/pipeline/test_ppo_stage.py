"""`chatwright train ppo`: tokens per reply fall where shorter replies are paid."""

import json
from pathlib import Path
from typing import Any

import pytest

from chatwright.checkpoint import model_directory
from chatwright.errors import InputError
from chatwright.model import lora
from tests.pipeline.run_command import chatwright
from tests.pipeline.small_assistant import train_small_assistant

QUICK = [
    "loop.steps=20",
    "loop.evaluate_every=10",
    "loop.precision=float32",
    "loop.optimizer.learning_rate=0.003",
    "rollouts.reply_tokens=24",
    "rollouts.prompts=8",
    "rollouts.samples=2",
]
SHORTER = ("reward.rules.shorter=1.0", "alarms.short=0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ppo")
    train_small_assistant(folder)
    return folder


def train(folder: Path, out: str, *settings: str) -> list[dict[str, Any]]:
    """Train by PPO and return the log."""
    chatwright(
        "train", "ppo", "--from", folder / "sft", "--data", folder / "prompts.jsonl",
        "--out", folder / out, *QUICK, *settings,
    )  # fmt: skip
    return [json.loads(line) for line in (folder / out / "metrics.jsonl").read_text().splitlines()]


def test_replies_become_shorter_within_20_steps(folder: Path) -> None:
    """The positive control: a preference with a known answer."""
    log = train(folder, "shorter", *SHORTER)
    tokens = [r["validation_reply_tokens"] for r in log if "validation_reply_tokens" in r]
    assert tokens[-1] < 0.8 * tokens[0]
    assert json.loads((folder / "shorter" / "model" / "training.json").read_text())["outcome"]


def test_an_adapter_learns_it_beside_frozen_weights(folder: Path) -> None:
    train(folder, "adapter", *SHORTER, "lora.rank=4", "loop.steps=4")
    model, _ = model_directory.load(folder / "adapter")
    assert lora.lora_layers(model)


def test_rules_with_answers_and_a_held_out_score_are_logged(folder: Path) -> None:
    log = train(
        folder, "rules", "reward.rules.exact=1.0", "reward.rules.stops=0.5",
        "held_out.rules.shorter=1.0", "loop.steps=4",
    )  # fmt: skip
    step = next(record for record in log if "reward_exact" in record)
    assert step["reward"] == pytest.approx(step["reward_exact"] + 0.5 * step["reward_stops"])
    assert any("held_out_score" in record for record in log)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (("reward.rules.longer=1.0",), "reward.rules.longer"),
        ((*SHORTER, "value_from=reward"), "value_from"),
        ((*SHORTER, "kl.weight=-1"), "kl.weight"),
        ((*SHORTER, "update.epochs=0"), "update.epochs"),
        ((*SHORTER, "alarms.long=-1"), "alarms.long"),
        ((*SHORTER, "rollouts.reply_tokens=64"), "rollouts.reply_tokens"),
        ((), "reward"),
    ],
)
def test_wrong_settings_are_refused(folder: Path, settings: tuple[str, ...], field: str) -> None:
    with pytest.raises(InputError) as caught:
        train(folder, "refused", *settings)
    assert caught.value.field == field
    assert not (folder / "refused" / "model").exists()
