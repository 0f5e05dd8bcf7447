"""Train a small model by any method: python small_methods.py METHOD OUT STEPS SAVE_EVERY."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import small_reinforcement
import small_run
import torch

from chatwright.model.gpt import GPT
from chatwright.model.transfer import give_scalar_head
from chatwright.training.loop_config import LoopConfig
from chatwright.training.stage import Stage
from chatwright.training.stages.ppo import PPOUpdateConfig

Parts = tuple[GPT, Stage[GPT, Any], LoopConfig]


def pretrain() -> Parts:
    return small_run.small_model(), small_run.pretrain_stage(), small_run.LOOP


def dpo() -> Parts:
    return small_run.small_model(context_length=64), small_run.dpo_stage(), small_run.LOOP


def kto() -> Parts:
    return small_run.small_model(context_length=64), small_run.kto_stage(), small_run.LOOP


def reward() -> Parts:
    model = small_run.small_model(context_length=64)
    give_scalar_head(model)
    return model, small_run.reward_stage(), small_run.LOOP


def grpo() -> Parts:
    """Two updates for each batch of rollouts, so that kills also hit the middle of a batch."""
    model = small_reinforcement.small_policy()
    stage = small_reinforcement.grpo_stage(model, epochs=2, beta=0.1)
    return model, stage, small_reinforcement.LOOP


def ppo() -> Parts:
    """Three updates for each batch of rollouts."""
    model = small_reinforcement.small_policy()
    update = PPOUpdateConfig(epochs=3, steps_per_epoch=1)
    return model, small_reinforcement.ppo_stage(model, update), small_reinforcement.LOOP


METHODS: dict[str, Callable[[], Parts]] = {
    make.__name__: make for make in (pretrain, dpo, kto, reward, grpo, ppo)
}


if __name__ == "__main__":
    torch.set_num_threads(1)
    model, stage, loop = METHODS[sys.argv[1]]()
    loop = replace(loop, steps=int(sys.argv[3]), save_every=int(sys.argv[4]))
    small_run.run(Path(sys.argv[2]), loop, stage, model)
