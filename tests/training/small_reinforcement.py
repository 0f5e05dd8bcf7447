"""Small runs of reinforcement learning: an untrained decoder that is paid for shorter replies."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from small_run import CPU, QUESTIONS, character_tokenizer, run, small_model

from chatwright.conversation import Message
from chatwright.data.encoded.prompts import encode_prompts
from chatwright.data.rows import Location, PromptRow
from chatwright.model.gpt import GPT
from chatwright.training.alarms import AlarmConfig, Alarms
from chatwright.training.batches.prompts import PromptBatches
from chatwright.training.loop_config import LoopConfig
from chatwright.training.optim.optimizer import OptimizerConfig
from chatwright.training.reference import frozen_copy
from chatwright.training.reward_shaping import KLController
from chatwright.training.reward_sources import RewardConfig, Rewards
from chatwright.training.rollout_source import RolloutSource
from chatwright.training.rollouts import RolloutConfig
from chatwright.training.stages.grpo import GRPO, GRPOUpdateConfig
from chatwright.training.stages.ppo import PPO, Critic, PPOUpdateConfig, new_value_head

REPLY_TOKENS = 12
ROLLOUTS = RolloutConfig(prompts=4, samples=2, reply_tokens=REPLY_TOKENS)
GROUPS = RolloutConfig(prompts=4, samples=4, reply_tokens=REPLY_TOKENS)
"""Rollouts of GRPO."""
SHORTER = RewardConfig(rules={"shorter": 1.0})
LOOP = LoopConfig(
    steps=8,
    schedule="constant",
    warmup=1,
    log_every=1,
    evaluate_every=4,
    save_every=3,
    precision="float32",
    device="cpu",
    monitor="validation_reward",
    higher_is_better=True,
    optimizer=OptimizerConfig(kind="adamw", learning_rate=2e-3, ngram_learning_rate=1e-3),
)


def small_policy(**changes: Any) -> GPT:
    return small_model(context_length=64, **changes)


def prompt_rows(answers: Sequence[str | None] = (None,) * 4) -> list[PromptRow]:
    return [
        PromptRow((Message("user", question),), Location("rows.jsonl", number), answer)
        for number, ((question, _), answer) in enumerate(zip(QUESTIONS, answers, strict=True), 1)
    ]


def small_source(
    reward: RewardConfig = SHORTER, seed: int = 1, held_out: RewardConfig | None = None
) -> RolloutSource:
    tokenizer = character_tokenizer()
    prompts = encode_prompts(prompt_rows(), tokenizer, 64 - REPLY_TOKENS)
    return RolloutSource(
        tokenizer,
        PromptBatches(prompts, ROLLOUTS.prompts, seed),
        prompts,
        Rewards(reward, tokenizer),
        ROLLOUTS,
        seed,
        Rewards(held_out, tokenizer) if held_out else None,
    )


def ppo_stage(
    model: GPT,
    update: PPOUpdateConfig = PPOUpdateConfig(),
    alarms: AlarmConfig = AlarmConfig(is_on=False),
    kl_weight: float = 0.05,
    kl_target: float = 6.0,
    critic: Critic | None = None,
    **source: Any,
) -> PPO:
    return PPO(
        small_source(**source),
        frozen_copy(model),
        critic or Critic(new_value_head(model.config.d_model, CPU)),
        update,
        KLController(kl_weight, kl_target),
        Alarms(alarms),
        torch.float32,
        seed=1,
    )


def grpo_stage(
    model: GPT,
    alarms: AlarmConfig = AlarmConfig(is_on=False),
    reward: RewardConfig = SHORTER,
    **update: Any,
) -> GRPO:
    source = small_source(reward)
    source.config = GROUPS
    return GRPO(
        source,
        frozen_copy(model),
        GRPOUpdateConfig(**update),
        Alarms(alarms),
        torch.float32,
        seed=1,
    )


def run_ppo(out: Path, loop: LoopConfig = LOOP, **parts: Any) -> Path:
    """Train a fresh model by PPO; return the directory of the finished model."""
    model = small_policy()
    stage = ppo_stage(model, **{k: v for k, v in parts.items() if k not in ("should_stop", "say")})
    rest = {k: v for k, v in parts.items() if k in ("should_stop", "say")}
    return run(out, loop, stage, model, **rest)
