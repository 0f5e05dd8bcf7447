"""The stage that improves a decoder by PPO: it learns from the rewards of its own replies."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from chatwright.checkpoint import model_directory
from chatwright.errors import InputError
from chatwright.model.gpt import GPT
from chatwright.pipeline.chosen_settings import choices_of
from chatwright.pipeline.fine_tuned_optimizer import ADAPTER_RATES
from chatwright.pipeline.prepared_stage import StageInputs, TrainingStage, identifying_settings
from chatwright.pipeline.reinforcement import (
    ReinforcementConfig,
    prepare_reinforcement,
)
from chatwright.training.alarms import Alarms
from chatwright.training.reference import frozen_copy
from chatwright.training.reward_shaping import KLController
from chatwright.training.rollouts import RolloutConfig
from chatwright.training.setting_checks import require_setting
from chatwright.training.stages.ppo import PPO, Critic, PPOUpdateConfig, new_value_head


@dataclass(frozen=True, kw_only=True)
class KLConfig:
    """The penalty for the distance from the model before training."""

    weight: float = 0.05
    """Weight of the KL divergence in the reward, at the start."""
    target: float = 6.0
    """KL divergence in nats per reply that the weight is adapted to; 0 keeps the weight."""

    def __post_init__(self) -> None:
        require = partial(require_setting, self, "kl")
        for name in ("weight", "target"):
            require(name, getattr(self, name) >= 0, "must be at least 0")


@dataclass(frozen=True, kw_only=True)
class PPORolloutConfig(RolloutConfig):
    """How replies are sampled for PPO: more prompts with fewer replies each."""

    prompts: int = 16
    """Prompts in one batch of rollouts."""
    samples: int = 4
    """Replies to each prompt."""


@dataclass(frozen=True, kw_only=True)
class PPOConfig(ReinforcementConfig):
    """Settings of proximal policy optimization."""

    rollouts: PPORolloutConfig = field(default_factory=PPORolloutConfig)
    update: PPOUpdateConfig = field(default_factory=PPOUpdateConfig)
    kl: KLConfig = field(default_factory=KLConfig)
    value_from: Literal["policy", "reward"] = "policy"
    """policy: a value head on the trained model. reward: a copy of the reward model."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.value_from == "reward" and not self.reward.model:
            raise InputError(
                "value_from=reward starts the values from the reward model, and there is none.",
                remedy="Set reward.model=DIR, or value_from=policy.",
                field="value_from",
                value=self.value_from,
            )


def prepare(config: PPOConfig, inputs: StageInputs) -> TrainingStage:
    """Prepare training by PPO."""
    choices = choices_of(inputs.out, inputs.given)
    if config.lora:
        config = choices.apply(config, ADAPTER_RATES)
    prepared = prepare_reinforcement(config, inputs)
    model = prepared.model
    stage = PPO(
        prepared.source,
        frozen_copy(model),
        _critic(config, model),
        config.update,
        KLController(config.kl.weight, config.kl.target),
        Alarms(config.alarms),
        prepared.dtype,
        config.loop.seed,
    )
    return TrainingStage(
        model=model,
        stage=stage,
        tokenizer=prepared.tokenizer,
        loop=config.loop,
        settings=identifying_settings(config, model),
        parent=prepared.parent,
        chosen=choices.chosen,
    )


def _critic(config: PPOConfig, model: GPT) -> Critic:
    """Return the value function: a fresh head, or the reward model with its own head."""
    if config.value_from == "policy":
        return Critic(new_value_head(model.config.d_model, model.device))
    trunk, _ = model_directory.load(Path(config.reward.model), model.device, kind=GPT)
    if trunk.scalar_head is None or trunk.config.vocab_size != model.config.vocab_size:
        raise InputError(
            f"reward.model {config.reward.model} has no scalar head or another vocabulary, so the "
            "values cannot start from it.",
            remedy="Set value_from=policy.",
            field="value_from",
            value=config.reward.model,
        )
    for name, parameter in trunk.named_parameters():
        # Tables with sparse gradients keep their values: AdamW cannot train them.
        parameter.requires_grad_(not name.startswith(trunk.sparse_tables))
    return Critic(trunk.scalar_head, trunk)
