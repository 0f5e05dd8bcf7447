"""The stage that trains word vectors (skip-gram)."""

from dataclasses import dataclass, field
from typing import Any

from chatwright import config as config_files
from chatwright.checkpoint import build_model
from chatwright.data.readers.data_source import ReadOptions
from chatwright.devices import generator, resolve_device
from chatwright.errors import InputError
from chatwright.model.skip_gram import SkipGram, SkipGramConfig, init_weights
from chatwright.pipeline.data_sources import DataSources
from chatwright.pipeline.prepared_stage import StageInputs, TrainingStage, identifying_settings
from chatwright.pipeline.read_training_data import read_texts
from chatwright.tokenizer.word_lookup import token_texts
from chatwright.training.loop_config import LoopConfig
from chatwright.training.stages.skip_gram import SkipGramBatchConfig, SkipGramBatches, SkipGramStage


@dataclass(frozen=True, kw_only=True)
class WordVectorsConfig(ReadOptions):
    """Settings of training word vectors."""

    data: DataSources
    """Texts."""
    validation_share: float = 0.01
    """Share of the texts kept for validation."""
    model: dict[str, Any] = field(
        default_factory=dict, metadata=config_files.table_of(SkipGramConfig)
    )
    """Shape of the model."""
    batches: SkipGramBatchConfig = field(default_factory=SkipGramBatchConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)


def prepare(config: WordVectorsConfig, inputs: StageInputs) -> TrainingStage:
    """Prepare the training of word vectors from random weights."""
    if inputs.parent is not None:
        raise InputError(
            "Word vectors cannot continue from a model.",
            remedy="Remove `from` from the stage, or --from from the command.",
            field="from",
            value=str(inputs.parent),
        )
    tokenizer = inputs.require_tokenizer()
    seed = config.loop.seed
    text, validation = read_texts(
        config.data,
        tokenizer,
        inputs.watcher,
        config.validation_share,
        options=config,
        with_control=False,
        leave_out_duplicates=False,
    )
    inputs.watcher.say(f"{tokenizer.vocab_size:,} words get a vector")
    shape = config.model | {"vocab_size": tokenizer.vocab_size}
    model = build_model.build(SkipGram, config_files.build(SkipGramConfig, shape, "model"))
    init_weights(model, generator(seed, "weights"))
    batches = SkipGramBatches(
        text, tokenizer.vocab_size, config.batches, seed, resolve_device(config.loop.device)
    )
    return TrainingStage(
        model=model,
        stage=SkipGramStage(batches, validation, token_texts(tokenizer)),
        tokenizer=tokenizer,
        loop=config.loop,
        settings=identifying_settings(config, model),
    )
