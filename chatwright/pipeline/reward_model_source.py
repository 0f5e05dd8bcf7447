"""A reward model as a source of rewards for training."""

from collections.abc import Sequence
from pathlib import Path

import torch

from chatwright.checkpoint import model_directory
from chatwright.conversation import Message
from chatwright.data.rows import PromptRow
from chatwright.pipeline.load_reward_model import load_reward_model
from chatwright.tasks.reward import RewardModel


class RewardModelSource:
    """Scores replies with a reward model, in standard deviations of its validation data."""

    name = "model"

    def __init__(self, model: RewardModel, identity: str) -> None:
        """Take the model, and the hash of its weights, which identifies a run."""
        self.model = model
        self.identity = identity

    def scores(self, prompts: Sequence[PromptRow], replies: Sequence[Message]) -> list[float]:
        """Return the score of each reply after its prompt."""
        pairs = zip(prompts, replies, strict=True)
        return self.model.scores([(*prompt.messages, reply) for prompt, reply in pairs])


def reward_model_source(directory: Path, device: torch.device) -> RewardModelSource:
    """Open the reward model in a directory. Raises InputError if it holds none."""
    identity = model_directory.weights_hash(directory)
    return RewardModelSource(load_reward_model(directory, device), identity)
