"""The stage that trains a decoder on preferences: pairs of a chosen and a rejected reply."""

from dataclasses import dataclass, field
from typing import Any, Literal

from chatwright.checkpoint import model_directory
from chatwright.data.encoded.preferences import EncodedPreferences, encode_preferences_split
from chatwright.data.readers.data_source import ReadOptions, describe_source
from chatwright.devices import resolve_device, resolve_precision
from chatwright.errors import InputError
from chatwright.model.lora import LoRAConfig
from chatwright.pipeline.chosen_settings import choices_of
from chatwright.pipeline.data_sources import DataSources, to_data_source
from chatwright.pipeline.initialize_model import StartingModel, initialize_model
from chatwright.pipeline.parent_checks import require_chat_format
from chatwright.pipeline.prepared_stage import StageInputs, TrainingStage, identifying_settings
from chatwright.pipeline.samplers import Replies
from chatwright.pipeline.stages.pretrain import GPT_TABLE
from chatwright.tokenizer.tokenizer import Tokenizer, load_tokenizer
from chatwright.training.batches.preferences import PreferenceBatchConfig, PreferenceBatches
from chatwright.training.loop_config import LoopConfig
from chatwright.training.optim.optimizer import OptimizerConfig
from chatwright.training.stages.dpo import DPO, PreferenceLoss
from chatwright.training.watcher import Watcher

ADAPTER_RATES = {"loop.optimizer.learning_rate": 2e-4}
"""An adapter has few weights and learns with larger steps."""


@dataclass(frozen=True, kw_only=True)
class DPOOptimizerConfig(OptimizerConfig):
    """Settings of the optimizer, with defaults that change a fine-tuned model slowly."""

    kind: Literal["muon", "adamw"] = "adamw"
    """Optimizer of the matrices inside the blocks. Others use AdamW or sparse_kind."""
    learning_rate: float = 2e-5
    """Peak learning rate of AdamW; for an adapter 2e-4, unless you give one."""
    beta2: float = 0.999
    """Decay of the mean squared gradient in AdamW and in sparse_kind=rms."""
    eps: float = 1e-8
    """Added to the root of the mean squared gradient in AdamW."""
    weight_decay: float = 0.0
    """Weight decay of matrices inside the blocks. Norms, biases and embeddings have none."""


@dataclass(frozen=True, kw_only=True)
class DPOLoopConfig(LoopConfig):
    """Settings of the training loop, with defaults for preferences."""

    steps: int = 300
    """Optimizer steps in the run."""
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
    """Preferences: rows with prompt, chosen and rejected."""
    validation_share: float = 0.1
    """Share of the preferences kept for validation; all pairs of a prompt stay together."""
    loss: PreferenceLoss = "dpo"
    """dpo: logistic. ipo: squared, which does not push pairs apart without end."""
    beta: float = 0.1
    """Pull toward the model before training; larger stays closer."""
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
            raise InputError(
                f"beta is {self.beta}; it must be above 0.",
                remedy="Set for example beta = 0.1.",
                field="beta",
                value=self.beta,
            )


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
    length = model.config.context_length
    training, validation = _read_preferences(config, tokenizer, length, inputs.watcher)
    pad = tokenizer.control.pad
    stage = DPO(
        PreferenceBatches(training, pad, config.batches, config.loop.seed, device),
        PreferenceBatches(validation, pad, config.batches, config.loop.seed, device),
        dtype,
        config.beta,
        config.loss,
        Replies(tokenizer, config.sample_prompts, config.sample_tokens),
    )
    return TrainingStage(
        model=model,
        stage=stage,
        tokenizer=tokenizer,
        loop=config.loop,
        settings=identifying_settings(config, model),
        parent=started_from,
        chosen=choices.made,
    )


def _read_preferences(
    config: DPOConfig, tokenizer: Tokenizer, length: int, watcher: Watcher
) -> tuple[EncodedPreferences, EncodedPreferences]:
    source = to_data_source(config.data)
    watcher.say(f"reading {describe_source(source)}")
    training, validation = encode_preferences_split(
        source, tokenizer, length, config.validation_share, config
    )
    watcher.say(
        f"training on {len(training):,} pairs of replies, validation on {len(validation):,}"
    )
    n_too_long = training.n_too_long + validation.n_too_long
    if n_too_long:
        watcher.say(f"left out: {n_too_long:,} pairs longer than {length:,} tokens")
    if training.n_rows_ignored:
        watcher.say(f"ignored: {training.n_rows_ignored:,} rows that are not preferences")
    for problem in training.skipped:
        watcher.say(f"left out: {problem}")
    watcher.say("before the first step, the model reads all pairs once, as the reference")
    return training, validation
