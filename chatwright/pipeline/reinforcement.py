"""What the stages of reinforcement learning share: settings, prompts, rewards and the model."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from chatwright.checkpoint import model_directory
from chatwright.data.encoded.prompts import EncodedPrompts, encode_prompts, encode_prompts_split
from chatwright.data.readers.data_source import ReadOptions, describe_source
from chatwright.devices import resolve_device, resolve_precision
from chatwright.errors import InputError
from chatwright.model.gpt import GPT
from chatwright.model.lora import LoRAConfig
from chatwright.pipeline.data_sources import DataSources, to_data_source
from chatwright.pipeline.fine_tuned_optimizer import FineTunedOptimizerConfig
from chatwright.pipeline.initialize_model import StartingModel, initialize_model
from chatwright.pipeline.parent_checks import require_chat_format
from chatwright.pipeline.prepared_stage import StageInputs
from chatwright.pipeline.reward_model_source import reward_model_source
from chatwright.pipeline.stages.pretrain import GPT_TABLE
from chatwright.tokenizer.tokenizer import Tokenizer, load_tokenizer
from chatwright.training.alarms import AlarmConfig
from chatwright.training.batches.prompts import PromptBatches
from chatwright.training.loop_config import LoopConfig
from chatwright.training.reward_sources import RewardConfig, Rewards
from chatwright.training.rollout_source import RolloutSource
from chatwright.training.rollouts import RolloutConfig
from chatwright.training.watcher import Watcher


@dataclass(frozen=True, kw_only=True)
class ReinforcementOptimizerConfig(FineTunedOptimizerConfig):
    """Settings of the optimizer, with defaults that change a fine-tuned model slowly."""

    learning_rate: float = 3e-5
    """Peak learning rate of AdamW; for an adapter 2e-4, unless you give one."""
    ngram_learning_rate: float = 1e-3
    """Peak learning rate of tables with sparse gradients: n-grams, word vectors."""
    beta2: float = 0.99
    """Decay of the mean squared gradient in AdamW and in sparse_kind=rms."""


@dataclass(frozen=True, kw_only=True)
class ReinforcementLoopConfig(LoopConfig):
    """Settings of the training loop, with defaults for reinforcement learning."""

    steps: int = 200
    """Optimizer steps in the run."""
    schedule: Literal["wsd", "cosine", "constant"] = "constant"
    """Shape of the learning rate over the run: wsd (constant, then falling), cosine or constant."""
    warmup: int = 5
    """Steps until the learning rate reaches its peak."""
    monitor: str = "validation_reward"
    """Figure of the evaluation that patience compares."""
    higher_is_better: bool = True
    """Whether a higher monitored figure is better, as for an accuracy."""
    log_every: int = 1
    """Steps between lines of the log."""
    evaluate_every: int = 20
    """Steps between evaluations on the validation data."""
    save_every: int = 20
    """Steps between checkpoints."""
    keep: int = 3
    """Number of checkpoints kept."""
    optimizer: ReinforcementOptimizerConfig = field(default_factory=ReinforcementOptimizerConfig)


@dataclass(frozen=True, kw_only=True)
class ReinforcementConfig(ReadOptions):
    """Settings that the stages of reinforcement learning share."""

    data: DataSources
    """Prompts: rows with prompt, and with answer where a rule compares with it."""
    validation_share: float = 0.1
    """Share of the prompts kept for validation."""
    validation_prompts: int = 64
    """Largest number of validation prompts that an evaluation answers."""
    reward: RewardConfig
    """What a reply earns: rules, a reward model, or both."""
    held_out: RewardConfig | None = None
    """A score that is not trained on; if it falls while the reward rises, the run stops."""
    rollouts: RolloutConfig = field(default_factory=RolloutConfig)
    alarms: AlarmConfig = field(default_factory=AlarmConfig)
    loop: ReinforcementLoopConfig = field(default_factory=ReinforcementLoopConfig)
    model: dict[str, Any] = field(default_factory=dict, metadata=GPT_TABLE)
    """Changes to the parent's model, such as a longer context_length."""
    lora: LoRAConfig | None = None
    """Train an adapter beside the parent's frozen weights."""


@dataclass(frozen=True, kw_only=True)
class Reinforcement:
    """Model, tokenizer and source of rollouts of a run."""

    model: GPT
    tokenizer: Tokenizer
    source: RolloutSource
    dtype: torch.dtype
    parent: Any


def prepare_reinforcement(config: ReinforcementConfig, inputs: StageInputs) -> Reinforcement:
    """Load model and prompts, and set up the rewards."""
    assert inputs.parent is not None, "reinforcement learning needs a parent"
    device = resolve_device(config.loop.device)
    tokenizer = load_tokenizer(model_directory.find(inputs.parent))
    require_chat_format(tokenizer, inputs.parent)
    start = StartingModel(
        shape=config.model, lora=config.lora, distillation=None, seed=config.loop.seed
    )
    model, parent = initialize_model(start, tokenizer.vocab_size, inputs.parent, inputs.watcher)
    model.to(device)
    training, validation = _read_prompts(config, tokenizer, model, inputs.watcher)
    rewards = make_rewards(config.reward, tokenizer, device)
    held_out = make_rewards(config.held_out, tokenizer, device) if config.held_out else None
    for checked in filter(None, (rewards, held_out)):
        checked.require_answers([*training.rows, *validation.rows])
    batches = PromptBatches(training, config.rollouts.prompts, config.loop.seed)
    source = RolloutSource(
        tokenizer, batches, validation, rewards, config.rollouts, config.loop.seed, held_out
    )
    return Reinforcement(
        model=model,
        tokenizer=tokenizer,
        source=source,
        dtype=resolve_precision(config.loop.precision, device),
        parent=parent,
    )


def make_rewards(config: RewardConfig, tokenizer: Tokenizer, device: torch.device) -> Rewards:
    """Return the rewards that the settings name; open the reward model if there is one."""
    models = [reward_model_source(Path(config.model), device)] if config.model else []
    return Rewards(config, tokenizer, models)


def _read_prompts(
    config: ReinforcementConfig, tokenizer: Tokenizer, model: GPT, watcher: Watcher
) -> tuple[EncodedPrompts, EncodedPrompts]:
    source = to_data_source(config.data)
    watcher.say(f"reading {describe_source(source)}")
    longest = model.config.context_length - config.rollouts.reply_tokens
    if longest < 1:
        raise InputError(
            f"rollouts.reply_tokens is {config.rollouts.reply_tokens}, but this model reads only "
            f"{model.config.context_length} tokens of prompt and reply.",
            remedy="Lower rollouts.reply_tokens.",
            field="rollouts.reply_tokens",
            value=config.rollouts.reply_tokens,
        )
    training, validation = encode_prompts_split(
        source, tokenizer, longest, config.validation_share, config
    )
    if len(validation) > config.validation_prompts:
        validation = encode_prompts(
            validation.rows[: config.validation_prompts], tokenizer, longest
        )
    watcher.say(f"training on {len(training):,} prompts, validation on {len(validation):,}")
    n_too_long = training.n_too_long + validation.n_too_long
    if n_too_long:
        watcher.say(f"left out: {n_too_long:,} prompts longer than {longest:,} tokens")
    if training.n_rows_ignored:
        watcher.say(f"ignored: {training.n_rows_ignored:,} rows that are not prompts")
    for problem in training.skipped:
        watcher.say(f"left out: {problem}")
    return training, validation
