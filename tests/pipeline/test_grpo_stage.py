"""`chatwright train grpo`: a model learns from rules, whole or as an adapter."""

import json
from pathlib import Path
from typing import Any

import pytest

from chatwright.checkpoint import model_directory
from chatwright.data.rows import DataError
from chatwright.errors import InputError
from chatwright.model import lora
from tests.pipeline.run_command import chatwright
from tests.pipeline.small_assistant import train_small_assistant

QUICK = [
    "loop.steps=20",
    "loop.evaluate_every=20",
    "loop.precision=float32",
    "loop.optimizer.learning_rate=0.001",
    "rollouts.prompts=4",
    "rollouts.samples=8",
    "validation_share=0.3",
    "rollouts.reply_tokens=16",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that gives two answers equally often, and prompts of which one is right."""
    folder = tmp_path_factory.mktemp("rewards")
    train_small_assistant(folder, ("At 12.", "At 7."), answer=12, steps=150)
    return folder


def train(folder: Path, out: str, *settings: str, data: str = "prompts.jsonl") -> dict[str, Any]:
    """Train on the prompts and return the finished run's figures."""
    chatwright(
        "train", "grpo", "--from", folder / "sft", "--data", folder / data, "--out", folder / out,
        *QUICK, *settings,
    )  # fmt: skip
    notes = json.loads((folder / out / "model" / "training.json").read_text())
    figures: dict[str, Any] = notes["figures"]
    return figures


def records(run: Path, figure: str) -> list[float]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [line[figure] for line in lines if figure in line]


def test_the_right_answer_is_learned_from_a_rule(folder: Path) -> None:
    train(folder, "whole", "reward.rules.right_number=1.0")
    rewards = records(folder / "whole", "reward")
    assert 0.2 < rewards[0] < 0.8
    assert sum(rewards[-3:]) / 3 > sum(rewards[:3]) / 3 + 0.15
    kl = records(folder / "whole", "kl")
    assert kl[0] == 0.0, "the reference is the model before training"
    assert kl[-1] > 0.1


@pytest.mark.ci
def test_an_adapter_learns_it_beside_frozen_weights(folder: Path) -> None:
    train(
        folder, "adapter", "reward.rules.right_number=1.0", "lora.rank=4", "update.loss=dr_grpo",
        "loop.optimizer.learning_rate=0.005", "rollouts.prompts=12",
    )  # fmt: skip
    rewards = records(folder / "adapter", "reward")
    assert sum(rewards[-5:]) / 5 > sum(rewards[:3]) / 3 + 0.08
    model, _ = model_directory.load(folder / "adapter")
    assert lora.lora_layers(model)


def test_rewards_are_logged_by_source(folder: Path) -> None:
    train(folder, "sources", "reward.rules={right_number=1.0,shorter=0.01}", "loop.steps=2")
    run = folder / "sources"
    total = records(run, "reward")[0]
    right = records(run, "reward_right_number")[0]
    shorter = records(run, "reward_shorter")[0]
    assert total == pytest.approx(right + 0.01 * shorter)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ((), "reward"),
        (("reward.rules.right_number=1.0", "rollouts.samples=1"), "rollouts.samples"),
        (("reward.rules.right_number=1.0", "update.clip=0"), "update.clip"),
        (("reward.rules.right_number=1.0", "rollouts.reply_tokens=64"), "rollouts.reply_tokens"),
        (("reward.rules.exact=1.0", "update.loss=best"), "update.loss"),
    ],
)
def test_wrong_settings_are_refused_and_nothing_is_trained(
    folder: Path, settings: tuple[str, ...], field: str
) -> None:
    with pytest.raises(InputError) as caught:
        train(folder, "refused", *settings)
    assert caught.value.field.startswith(field)
    assert not (folder / "refused" / "model").exists()


def test_conversations_instead_of_prompts_are_refused(folder: Path) -> None:
    with pytest.raises(DataError):
        train(folder, "wrong", "reward.rules.stops=1.0", data="chat.jsonl")
