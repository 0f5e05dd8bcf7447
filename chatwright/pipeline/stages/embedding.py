"""The stage that trains an encoder to turn texts into vectors, from pairs that belong together."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from chatwright.checkpoint.origin import origin_of
from chatwright.data.encoded.text_pairs import (
    EncodedScoredPairs,
    EncodedTextPairs,
    encode_scored_pairs,
    encode_text_pairs,
)
from chatwright.data.readers.data_source import DataSource, ReadOptions, describe_source
from chatwright.data.readers.problems import describe_skipped
from chatwright.data.readers.text_pairs import (
    read_scored_pairs,
    read_text_pairs,
    split_text_pairs,
    without_repeated_pairs,
)
from chatwright.data.rows import DataError, TextPair
from chatwright.devices import resolve_device, resolve_precision
from chatwright.errors import InputError
from chatwright.model.encoder import Encoder
from chatwright.pipeline.chosen_settings import choices_of
from chatwright.pipeline.data_sources import DataSources, to_data_source
from chatwright.pipeline.fine_tuning import FineTuning
from chatwright.pipeline.initialize_encoder import initialize_encoder
from chatwright.pipeline.prepared_stage import StageInputs, TrainingStage, identifying_settings
from chatwright.pipeline.stages.masked_lm import ENCODER_TABLE
from chatwright.tokenizer.tokenizer import Tokenizer, encoder_tokens_of
from chatwright.training.batches.text_pairs import TextPairBatchConfig, TextPairBatches
from chatwright.training.loop_config import LoopConfig
from chatwright.training.stages.embedding import ContrastiveEmbedding
from chatwright.training.watcher import Watcher

MAX_VALIDATION = 1000
"""Largest number of pairs that are kept for validation: each evaluation computes all of them."""

Row = TypeVar("Row")


@dataclass(frozen=True, kw_only=True)
class EmbeddingConfig(ReadOptions):
    """Settings of training vectors of texts."""

    data: DataSources
    """Pairs of texts that belong together (anchor, positive), optionally with a negative."""
    validation: DataSources = ""
    """Pairs for validation. Without them a share of the data is used, at most 1,000 pairs."""
    validation_share: float = 0.1
    """Share of the pairs kept for validation."""
    scored: DataSources = ""
    """Pairs with a score (sentence1, sentence2, score), for Spearman's correlation."""
    temperature: float = 0.05
    """Divisor of the cosines. Lower values look at the hardest wrong answers only."""
    model: dict[str, Any] = field(default_factory=dict, metadata=ENCODER_TABLE)
    """Changes of the model: dropout, pooling, normalized_vectors, max_text_tokens."""
    passes: float = 5.0
    """Passes over the pairs of a model with imported weights, if loop.steps is not given."""
    batches: TextPairBatchConfig = field(default_factory=TextPairBatchConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.passes > 0:
            raise InputError(
                f"passes is {self.passes}; it must be above 0.",
                remedy="Give the number of passes over the pairs, for example passes=5.",
                field="passes",
                value=self.passes,
            )
        if not 0.0 < self.temperature <= 1.0:
            raise InputError(
                f"temperature is {self.temperature}; it must be above 0 and at most 1.",
                remedy="0.05 is the usual value.",
                field="temperature",
                value=self.temperature,
            )


def prepare(config: EmbeddingConfig, inputs: StageInputs) -> TrainingStage:
    """Prepare contrastive training from the weights of an encoder, whose head is left out."""
    tokenizer = inputs.require_tokenizer()
    watcher = inputs.watcher
    seed = config.loop.seed
    device = resolve_device(config.loop.device)
    dtype = resolve_precision(config.loop.precision, device)
    model, parent = _initialize(config, tokenizer, inputs.parent)
    length = model.config.text_length
    train_rows, validation_rows = _read(config, watcher)
    train = encode_text_pairs(train_rows, tokenizer, length)
    validation = encode_text_pairs(validation_rows, tokenizer, length)
    config, chosen = _fit(config, model, train, inputs)
    _report(config, train, length, watcher)
    pad = encoder_tokens_of(tokenizer).pad
    stage = ContrastiveEmbedding(
        TextPairBatches(train, pad, config.batches, seed, device),
        TextPairBatches(validation, pad, config.batches, seed, device),
        dtype,
        config.temperature,
        _scored(config, tokenizer, length, watcher),
    )
    return TrainingStage(
        model=model,
        stage=stage,
        tokenizer=tokenizer,
        loop=config.loop,
        settings=identifying_settings(config, model),
        parent=parent,
        chosen=chosen,
    )


def _initialize(
    config: EmbeddingConfig, tokenizer: Tokenizer, parent: Path | None
) -> tuple[Encoder, Path | None]:
    """Return the parent's encoder without its head."""
    head: dict[str, Any] = {"head": "none", "labels": ()}
    arguments = (config.model, tokenizer.vocab_size, config.loop.seed, parent, None)
    model, start, _ = initialize_encoder(*arguments, head)
    if model.config.pooler == "relu":  # DistilBERT's dense layer is a part of its label head
        model, start, _ = initialize_encoder(*arguments, head | {"pooler": "none"})
    return model, start


def _fit(
    config: EmbeddingConfig, model: Encoder, pairs: EncodedTextPairs, inputs: StageInputs
) -> tuple[EmbeddingConfig, dict[str, Any]]:
    """Fit learning rates and steps to imported weights; return the settings and the choices."""
    assert inputs.parent is not None, "the stage needs a parent"
    choices = choices_of(inputs.out, inputs.given)
    tuning = FineTuning(choices, model, origin_of(inputs.parent), False, inputs.watcher)
    n_row = min(config.batches.rows, len(pairs))
    steps_per_pass = math.ceil(len(pairs) / n_row)
    config = tuning.fit_and_state_loop(tuning.fit_rates(config), steps_per_pass, config.passes)
    return config, choices.chosen


def _read(config: EmbeddingConfig, watcher: Watcher) -> tuple[list[TextPair], list[TextPair]]:
    """Return the pairs for training and for validation."""
    pairs = _read_rows(read_text_pairs, config.data, config, watcher)
    if not config.validation:
        return split_text_pairs(pairs, min(config.validation_share, MAX_VALIDATION / len(pairs)))
    validation = _read_rows(read_text_pairs, config.validation, config, watcher)
    return pairs, _without_repeats(pairs, validation, watcher)


def _read_rows(
    read: Callable[[DataSource, ReadOptions, list[DataError]], list[Row]],
    data: DataSources,
    options: ReadOptions,
    watcher: Watcher,
) -> list[Row]:
    source = to_data_source(data)
    watcher.say(f"reading {describe_source(source)}")
    skipped: list[DataError] = []
    rows = read(source, options, skipped)
    for problem in describe_skipped(skipped):
        watcher.say(f"left out: {problem}")
    return rows


def _without_repeats(
    train: list[TextPair], validation: list[TextPair], watcher: Watcher
) -> list[TextPair]:
    """Return the validation pairs that are not training pairs too; if all are, warn."""
    kept = without_repeated_pairs(train, validation)
    n_repeats = len(validation) - len(kept)
    if not kept:
        watcher.warn(
            f"all {n_repeats:,} validation pairs are training pairs too, so the validation says "
            "nothing about other texts"
        )
        return validation
    if n_repeats:
        watcher.say(
            f"validation on {len(kept):,} of {len(validation):,} pairs: {n_repeats:,} are training "
            "pairs too and are left out"
        )
    return kept


def _report(
    config: EmbeddingConfig, pairs: EncodedTextPairs, length: int, watcher: Watcher
) -> None:
    counts = pairs.describe()
    n_row = min(config.batches.rows, len(pairs))
    passes = config.loop.steps * n_row / len(pairs)
    watcher.say(
        f"training on {len(pairs):,} pairs of {counts['texts']:,} texts, {counts['negatives']:,} "
        f"given negatives; {config.loop.steps:,} steps of {n_row} pairs are {passes:.1f} passes"
    )
    if pairs.texts.n_cut:
        watcher.say(
            f"{pairs.texts.n_cut:,} texts are longer than {length:,} tokens; the model reads only "
            "their beginning"
        )


def _scored(
    config: EmbeddingConfig, tokenizer: Tokenizer, length: int, watcher: Watcher
) -> EncodedScoredPairs | None:
    if not config.scored:
        return None
    pairs = _read_rows(read_scored_pairs, config.scored, config, watcher)
    return encode_scored_pairs(pairs, tokenizer, length)
