"""The stage that trains a decoder on preferences: pairs of replies, or single rated replies."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from chatwright.checkpoint import model_directory
from chatwright.data.readers.data_source import ReadOptions
from chatwright.devices import resolve_device, resolve_precision
from chatwright.errors import InputError
from chatwright.model.lora import LoRAConfig
from chatwright.pipeline import fine_tuning_settings as wanted
from chatwright.pipeline.chosen_settings import choices_of
from chatwright.pipeline.data_sources import DataSources
from chatwright.pipeline.fine_tuned_optimizer import ADAPTER_RATES, FineTunedOptimizerConfig
from chatwright.pipeline.initialize_model import StartingModel, initialize_model
from chatwright.pipeline.parent_checks import require_chat_format
from chatwright.pipeline.prepared_stage import StageInputs, TrainingStage, identifying_settings
from chatwright.pipeline.read_preferences import read_pairs, read_rated_replies
from chatwright.pipeline.samplers import Replies
from chatwright.pipeline.stages.pretrain import GPT_TABLE
from chatwright.tokenizer.tokenizer import Tokenizer, load_tokenizer
from chatwright.training.batches.preferences import PreferenceBatchConfig, PreferenceBatches
from chatwright.training.batches.rated_replies import RatedReplyBatches
from chatwright.training.loop_config import LoopConfig
from chatwright.training.stages.dpo import DPO
from chatwright.training.stages.kto import KTO, ClassWeights, balanced_weights

PASSES = 3.0
"""Passes over the data, unless these take more than the default number of steps."""


@dataclass(frozen=True, kw_only=True)
class DPOOptimizerConfig(FineTunedOptimizerConfig):
    """Settings of the optimizer, with defaults that change a fine-tuned model slowly."""

    learning_rate: float = 2e-5
    """Peak learning rate of AdamW; for an adapter 2e-4, unless you give one."""


@dataclass(frozen=True, kw_only=True)
class DPOLoopConfig(LoopConfig):
    """Settings of the training loop, with defaults for preferences."""

    steps: int = 300
    """Optimizer steps in the run; three passes over few data, unless you give a number."""
    warmup: int = 20
    """Steps until the learning rate reaches its peak."""
    patience: int = 5
    """Stop after this many evaluations without a better one and keep the best weights; 0: never."""
    evaluate_every: int = 25
    """Steps between evaluations on the validation data."""
    optimizer: DPOOptimizerConfig = field(default_factory=DPOOptimizerConfig)


@dataclass(frozen=True, kw_only=True)
class DPOConfig(ReadOptions):
    """Settings of direct preference optimization."""

    data: DataSources
    """Preferences: rows with prompt, chosen and rejected; with loss=kto also single ratings."""
    validation_share: float = 0.1
    """Share of the preferences kept for validation; all pairs of a prompt stay together."""
    loss: Literal["dpo", "ipo", "kto"] = "dpo"
    """dpo: logistic. ipo: squared, which does not push pairs apart without end. kto: for replies
    that were rated one by one, good or bad; it reads a pair as one good and one bad reply."""
    beta: float = 0.1
    """Pull toward the model before training; larger stays closer."""
    sft_weight: float = 0.0
    """Weight of the chosen reply's loss per token, which keeps its probability up; not for kto."""
    good_weight: float = 0.0
    """loss=kto: weight of a good reply; 0 chooses both weights from the numbers of replies."""
    bad_weight: float = 0.0
    """loss=kto: weight of a bad reply; 0 chooses both weights from the numbers of replies."""
    batches: PreferenceBatchConfig = field(default_factory=PreferenceBatchConfig)
    loop: DPOLoopConfig = field(default_factory=DPOLoopConfig)
    sample_prompts: tuple[str, ...] = ("Hello!", "Who are you?")
    """Messages that are answered at every evaluation."""
    sample_tokens: int = 64
    """Largest number of tokens of a sample."""
    model: dict[str, Any] = field(default_factory=dict, metadata=GPT_TABLE)
    """Changes to the parent's model: dropout and a longer context_length."""
    lora: LoRAConfig | None = None
    """Train an adapter beside the parent's frozen weights."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.beta > 0:
            raise _refused("beta", self.beta, "must be above 0", "Set for example beta = 0.1.")
        if not self.sft_weight >= 0:
            raise _refused(
                "sft_weight", self.sft_weight, "must not be negative", "0 leaves it out."
            )
        if self.sft_weight and self.loss == "kto":
            raise _refused("sft_weight", self.sft_weight, "is not for loss=kto", "Leave it out.")
        for name in ("good_weight", "bad_weight"):
            weight = getattr(self, name)
            if weight < 0:
                raise _refused(name, weight, "must not be negative", "0 chooses it.")
            if weight and self.loss != "kto":
                raise _refused(name, weight, "is for loss=kto only", "Leave it out.")
        if bool(self.good_weight) != bool(self.bad_weight):
            name = "bad_weight" if self.good_weight else "good_weight"
            raise _refused(name, 0.0, "is missing", "Give both weights, or none.")


def _refused(name: str, value: float, reason: str, remedy: str) -> InputError:
    return InputError(f"{name} is {value}; it {reason}.", remedy=remedy, field=name, value=value)


def prepare(config: DPOConfig, inputs: StageInputs) -> TrainingStage:
    """Prepare training on preferences."""
    assert inputs.parent is not None, "learning preferences needs a parent"
    choices = choices_of(inputs.out, inputs.given)
    if config.lora:
        config = choices.apply(config, ADAPTER_RATES)
    device = resolve_device(config.loop.device)
    dtype = resolve_precision(config.loop.precision, device)
    tokenizer = load_tokenizer(model_directory.find(inputs.parent))
    require_chat_format(tokenizer, inputs.parent)
    start = StartingModel(
        shape=config.model, lora=config.lora, distillation=None, seed=config.loop.seed
    )
    model, started_from = initialize_model(
        start, tokenizer.vocab_size, inputs.parent, inputs.watcher
    )
    model.to(device)
    learning = _Learning(config, tokenizer, model.config.context_length, dtype, device, inputs)
    stage = learning.kto() if config.loss == "kto" else learning.pairs()
    steps_per_pass = math.ceil(stage.batches.order.n / config.batches.rows)
    steps = wanted.steps_for(PASSES, steps_per_pass)
    if steps < config.loop.steps and "loop.steps" not in inputs.given:
        config = choices.apply(config, {"loop.steps": steps})
        config = choices.apply(config, wanted.loop_settings(config.loop.steps, steps_per_pass))
        inputs.watcher.say(f"chosen for this model and data: {choices.describe()}")
    inputs.watcher.say("before the first step, the model reads all replies once, as the reference")
    return TrainingStage(
        model=model,
        stage=stage,
        tokenizer=tokenizer,
        loop=config.loop,
        settings=identifying_settings(config, model),
        parent=started_from,
        chosen=choices.chosen,
    )


@dataclass(frozen=True)
class _Learning:
    """Reads the data and makes the stage that learns from it."""

    config: DPOConfig
    tokenizer: Tokenizer
    length: int
    """Largest number of tokens of a conversation."""
    dtype: torch.dtype
    device: torch.device
    inputs: StageInputs

    def pairs(self) -> DPO:
        """Return the stage that learns from pairs."""
        config = self.config
        assert config.loss != "kto", "kto learns from single replies"
        training, validation = read_pairs(
            config.data,
            self.tokenizer,
            self.length,
            config.validation_share,
            config,
            self.inputs.watcher,
        )
        pad, seed = self.tokenizer.control.pad, config.loop.seed
        return DPO(
            PreferenceBatches(training, pad, config.batches, seed, self.device),
            PreferenceBatches(validation, pad, config.batches, seed, self.device),
            self.dtype,
            config.beta,
            config.loss,
            self._samples(),
            config.sft_weight,
        )

    def kto(self) -> KTO:
        """Return the stage that learns from single replies."""
        config = self.config
        pad, seed = self.tokenizer.control.pad, config.loop.seed
        training, validation = read_rated_replies(
            config.data,
            self.tokenizer,
            self.length,
            config.validation_share,
            config,
            seed,
            self.inputs.watcher,
        )
        weights = ClassWeights(config.good_weight, config.bad_weight)
        if not config.good_weight:
            weights = balanced_weights(training.n_good, len(training) - training.n_good)
            self.inputs.watcher.say(
                f"a good reply weighs {weights.good:.3g} and a bad one {weights.bad:.3g}, by their "
                "numbers (good_weight and bad_weight change it)"
            )
        return KTO(
            RatedReplyBatches(training, pad, config.batches, seed, self.device),
            RatedReplyBatches(validation, pad, config.batches, seed, self.device),
            self.dtype,
            config.beta,
            weights,
            self._samples(),
        )

    def _samples(self) -> Replies:
        config = self.config
        return Replies(self.tokenizer, config.sample_prompts, config.sample_tokens)
