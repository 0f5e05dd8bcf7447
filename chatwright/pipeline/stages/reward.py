"""The stage that trains a reward model: a decoder that scores replies as people rank them."""

import json
import math
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from chatwright.checkpoint import directory, model_directory, run_directory
from chatwright.checkpoint.origin import Origin, origin_of
from chatwright.data.encoded.rankings import EncodedRankings, encode_rankings_split
from chatwright.data.readers.data_source import ReadOptions, describe_source
from chatwright.devices import generator, resolve_device, resolve_precision
from chatwright.errors import InputError
from chatwright.evaluation import model_card
from chatwright.evaluation.reward_card import reward_card
from chatwright.model import lora
from chatwright.model.gpt import GPT
from chatwright.model.lora import LoRAConfig
from chatwright.model.transfer import give_scalar_head
from chatwright.pipeline import fine_tuning_settings as wanted
from chatwright.pipeline.chosen_settings import choices_of
from chatwright.pipeline.data_sources import DataSources, to_data_source
from chatwright.pipeline.fine_tuned_optimizer import FineTunedOptimizerConfig
from chatwright.pipeline.parent_checks import require_chat_format
from chatwright.pipeline.prepared_stage import StageInputs, TrainingStage, identifying_settings
from chatwright.pipeline.stages.pretrain import GPT_TABLE
from chatwright.tokenizer.tokenizer import Tokenizer, load_tokenizer
from chatwright.training.batches.rankings import RankingBatchConfig, RankingBatches
from chatwright.training.loop_config import LoopConfig
from chatwright.training.stages.reward import RankingLoss, Reward
from chatwright.training.watcher import Watcher

LEARNING_RATES: dict[tuple[Origin, bool], float] = {
    ("imported", True): 2e-4,
    ("imported", False): 2e-5,
    ("trained", True): 1e-3,
    ("trained", False): 3e-4,
}
"""Peak learning rates by origin of the weights and by whether an adapter is trained."""
PASSES = 2.0
"""Passes over the data; a reward model memorizes rankings that it reads often."""
TOKENS_AT_ONCE = 4096
"""Tokens in a micro-batch, unless a single ranking has more."""


@dataclass(frozen=True, kw_only=True)
class RewardOptimizerConfig(FineTunedOptimizerConfig):
    """Settings of the optimizer, with defaults for reward models."""

    learning_rate: float = 3e-4
    """Peak learning rate of AdamW, chosen for imported weights and adapters unless you give one."""


@dataclass(frozen=True, kw_only=True)
class RewardLoopConfig(LoopConfig):
    """Settings of the training loop, with defaults for reward models."""

    steps: int = 300
    """Optimizer steps in the run; chosen for the data unless you give them."""
    patience: int = wanted.PATIENCE
    """Stop after this many evaluations without a better one and keep the best weights; 0: never."""
    evaluate_every: int = 25
    """Steps between evaluations on the validation data."""
    optimizer: RewardOptimizerConfig = field(default_factory=RewardOptimizerConfig)


@dataclass(frozen=True, kw_only=True)
class RewardConfig(ReadOptions):
    """Settings of training a reward model."""

    data: DataSources
    """Feedback: a snapshot, or rows with prompt, chosen and rejected."""
    validation_share: float = 0.1
    """Share of the feedback kept for validation; all rankings of a prompt stay together."""
    rater_share: float = 0.25
    """Share of the rankings kept for validation with all of their raters' rankings; 0: none.

    With fewer than 4 raters none are kept.
    """
    loss: RankingLoss = "all_pairs"
    """What has equal weight: rankings (all_pairs, plackett_luce) or pairs (bradley_terry)."""
    batches: RankingBatchConfig = field(default_factory=RankingBatchConfig)
    loop: RewardLoopConfig = field(default_factory=RewardLoopConfig)
    model: dict[str, Any] = field(default_factory=dict, metadata=GPT_TABLE)
    """Changes to the parent's model: dropout and a longer context_length."""
    lora: LoRAConfig | None = None
    """Train an adapter and the scalar head beside the parent's frozen weights."""

    def __post_init__(self) -> None:
        super().__post_init__()
        shares = {
            "validation_share": 0 < self.validation_share < 1,
            "rater_share": 0 <= self.rater_share < 1,
        }
        for name, is_share in shares.items():
            if not is_share:
                value = getattr(self, name)
                raise InputError(
                    f"{name} is {value}; it must be a share below 1.",
                    remedy=f"Set for example {name} = 0.2.",
                    field=name,
                    value=value,
                )


def prepare(config: RewardConfig, inputs: StageInputs) -> TrainingStage:
    """Prepare the training of a reward model."""
    assert inputs.parent is not None, "a reward model needs a parent"
    choices = choices_of(inputs.out, inputs.given)
    device = resolve_device(config.loop.device)
    dtype = resolve_precision(config.loop.precision, device)
    tokenizer = load_tokenizer(model_directory.find(inputs.parent))
    require_chat_format(tokenizer, inputs.parent)
    model, has_fresh_head = _initialize(config, inputs)
    model.to(device)
    training, validation = _read(config, tokenizer, model.config.context_length, inputs.watcher)
    rate = LEARNING_RATES[origin_of(inputs.parent), bool(lora.lora_layers(model))]
    config = choices.apply(config, {"loop.optimizer.learning_rate": rate})
    config = choices.apply(config, {"batches.accumulate": _micro_batches(config, training)})
    steps_per_pass = math.ceil(len(training) / config.batches.rows)
    steps = wanted.steps_for(PASSES, steps_per_pass)
    config = choices.apply(config, {"loop.steps": steps})
    config = choices.apply(config, wanted.loop_settings(config.loop.steps, steps_per_pass))
    inputs.watcher.say(f"chosen for this model and data: {choices.describe()}")
    pad = tokenizer.control.pad
    seed = config.loop.seed
    stage = Reward(
        RankingBatches(training, pad, config.batches, seed, device),
        RankingBatches(validation, pad, config.batches, seed, device),
        dtype,
        config.loss,
        has_fresh_head,
    )
    return TrainingStage(
        model=model,
        stage=stage,
        tokenizer=tokenizer,
        loop=config.loop,
        settings=identifying_settings(config, model),
        parent=inputs.parent,
        chosen=choices.chosen,
        measure=partial(_write_card, stage, training, validation),
    )


def _write_card(
    stage: Reward,
    training: EncodedRankings,
    validation: EncodedRankings,
    run: Path,
    watcher: Watcher,
) -> None:
    """Measure the finished model, write its card beside the weights, and repeat its warnings."""
    watcher.activity("measuring the reward model")
    directory_of_model = run / run_directory.MODEL
    model, _ = model_directory.load(directory_of_model, stage.validation.device)
    scores = stage.validation_scores(model, range(len(validation)))
    card = reward_card(training, validation, scores)
    directory.write_text(directory_of_model / model_card.FILE, card.to_markdown())
    text = json.dumps(card.to_json(), indent=1)
    directory.write_text(directory_of_model / model_card.JSON_FILE, text)
    watcher.say(f"model card: {directory_of_model / model_card.FILE}")
    for warning in card.warnings:
        watcher.warn(warning)


def _initialize(config: RewardConfig, inputs: StageInputs) -> tuple[GPT, bool]:
    """Load the parent; add a scalar head and an adapter. Also return whether the head is new."""
    assert inputs.parent is not None, "a reward model needs a parent"
    model, _ = model_directory.load(inputs.parent, changes=config.model)
    is_fresh = give_scalar_head(model)
    if config.lora:
        lora.attach(model, config.lora, generator(config.loop.seed, "lora"))
    return model, is_fresh


def _micro_batches(config: RewardConfig, training: EncodedRankings) -> int:
    """Return the number of micro-batches for which a step computes the fewest tokens."""
    lengths = [max(len(reply) for reply in ranking.replies) for ranking in training.rankings]
    n_reply = sum(len(ranking.replies) for ranking in training.rankings) / len(training)
    return wanted.parts_by_length(lengths, config.batches.rows, n_reply, TOKENS_AT_ONCE)


def _read(
    config: RewardConfig, tokenizer: Tokenizer, length: int, watcher: Watcher
) -> tuple[EncodedRankings, EncodedRankings]:
    source = to_data_source(config.data)
    watcher.say(f"reading {describe_source(source)}")
    training, validation = encode_rankings_split(
        source, tokenizer, length, config.validation_share, config.rater_share, config
    )
    kinds = [ranking.held_out for ranking in validation.rankings]
    watcher.say(
        f"training on {len(training):,} rankings, validation on {len(validation):,}: "
        f"{kinds.count('prompt'):,} of held-out prompts, {kinds.count('rater'):,} by held-out "
        f"raters, {kinds.count('both'):,} of both"
    )
    if not any(kind in ("rater", "both") for kind in kinds):
        n_rater = len(training.raters() | validation.raters())
        cause = (
            f"the data name {n_rater}, and 4 are needed"
            if n_rater < 4
            else f"rater_share is {config.rater_share}"
        )
        watcher.say(f"no rater is held out: {cause}")
    n_too_long = training.n_too_long + validation.n_too_long
    if n_too_long:
        watcher.say(f"left out: {n_too_long:,} rankings with more than {length:,} tokens")
    if training.n_tied:
        watcher.say(f"left out: {training.n_tied:,} rankings in which all replies are tied")
    if training.n_rows_ignored:
        watcher.say(f"ignored: {training.n_rows_ignored:,} rows without a preference")
    for problem in training.skipped:
        watcher.say(f"left out: {problem}")
    return training, validation
