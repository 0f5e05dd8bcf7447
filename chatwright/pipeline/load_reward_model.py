"""Load a reward model with the scale of its scores."""

import math
from pathlib import Path

import torch

from chatwright.checkpoint import json_file, model_directory
from chatwright.commands import command_line
from chatwright.engine.reward_forward import RewardForward
from chatwright.errors import InputError
from chatwright.tasks.reward import RewardModel, RewardScale


def load_reward_model(directory: Path, device: torch.device | str = "cpu") -> RewardModel:
    """Load the reward model in a model directory or a training run.

    Raises:
        InputError: The directory holds another kind of model.
    """
    model, tokenizer = model_directory.load(directory, device)
    if model.scalar_head is None:
        raise InputError(
            f"{directory}: this model has the head {model.config.head!r} and gives no score.",
            remedy="Train a reward model: "
            + command_line("train", "reward", "--from", directory, "--data", "FILE"),
            field="model",
            value=model.config.head,
        )
    return RewardModel(RewardForward(model), tokenizer, read_scale(directory))


def read_scale(directory: Path) -> RewardScale:
    """Return the scale that the training of a reward model stored; mean 0 and std 1 if none is."""
    file = model_directory.find(directory) / model_directory.TRAINING_FILE
    notes = json_file.read_object(file) if file.is_file() else {}
    figures = notes.get("figures")
    figures = figures if isinstance(figures, dict) else {}
    mean, std = figures.get("reward_mean"), figures.get("reward_std")
    if not isinstance(mean, float | int) or not isinstance(std, float | int) or not std > 0:
        return RewardScale()
    return RewardScale(mean, std) if math.isfinite(mean) and math.isfinite(std) else RewardScale()
