"""The stage that trains an encoder-decoder to translate."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chatwright import config as config_files
from chatwright.checkpoint import build_model, model_directory
from chatwright.data.encoded.pairs import EncodedPairs, encode_pairs, split_pairs
from chatwright.data.readers.data_source import ReadOptions, describe_source
from chatwright.data.readers.problems import describe_skipped
from chatwright.data.rows import DataError, SentencePair
from chatwright.devices import generator, resolve_device, resolve_precision
from chatwright.errors import InputError
from chatwright.evaluation.bleu import require_packages
from chatwright.model.encoder_decoder import EncoderDecoder, init_weights
from chatwright.model.encoder_decoder_config import EncoderDecoderConfig
from chatwright.model.encoder_decoder_presets import (
    ENCODER_DECODER_PRESETS,
    encoder_decoder_preset,
)
from chatwright.pipeline.data_sources import DataSources, to_data_source
from chatwright.pipeline.prepared_stage import StageInputs, TrainingStage, identifying_settings
from chatwright.pipeline.samplers import Translations, ValidationBleu
from chatwright.pipeline.sentence_pairs import read_sentence_pairs, require_both_sides
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.training.batches.pairs import PairBatchConfig, PairBatches
from chatwright.training.loop_config import LoopConfig
from chatwright.training.stages.translation import Translation
from chatwright.training.watcher import Watcher

# The fields of [model] for the configuration reference, with the setting `size` besides.
ENCODER_DECODER_TABLE = config_files.table_of(
    EncoderDecoderConfig, size=f"Preset to start from: {', '.join(ENCODER_DECODER_PRESETS)}."
)


@dataclass(frozen=True, kw_only=True)
class TranslationConfig(ReadOptions):
    """Settings of training a translation model."""

    pairs: DataSources = ""
    """Files that hold both sides: tables with source and target, or .tsv and .txt with tabs."""
    source: DataSources = ""
    """Files with one sentence per line."""
    target: DataSources = ""
    """Files with the translations of the lines of `source`."""
    columns: tuple[int, int] = (1, 2)
    """Columns of source and target in tab-separated pairs; [2, 1] reverses the direction."""
    validation_pairs: DataSources = ""
    """Pairs for validation. Without them a share of the data is used."""
    validation_source: DataSources = ""
    """Sentences for validation, one per line."""
    validation_target: DataSources = ""
    """Translations of the lines of `validation_source`."""
    validation_share: float = 0.02
    """Share of the pairs kept for validation."""
    label_smoothing: float = 0.1
    """Probability spread evenly over all tokens in training; 0: none."""
    model: dict[str, Any] = field(default_factory=dict, metadata=ENCODER_DECODER_TABLE)
    """Shape of a new model. With --from only dropout and context_length may change."""
    batches: PairBatchConfig = field(default_factory=PairBatchConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    sample_texts: tuple[str, ...] = ()
    """Texts that are translated at every evaluation."""
    bleu_pairs: int = 0
    """Number of validation pairs for BLEU at each evaluation; needs chatwright[translation]."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.pairs or self.source):
            raise InputError(
                "There is no data to train on.",
                remedy="Give pairs (files that hold both sides), or source and target.",
                field="pairs",
            )
        require_both_sides(self.source, self.target, "")
        require_both_sides(self.validation_source, self.validation_target, "validation_")
        if not 0.0 <= self.label_smoothing < 1.0:
            raise InputError(
                f"label_smoothing is {self.label_smoothing}; it must be at least 0 and below 1.",
                remedy="0.1 is the usual value.",
                field="label_smoothing",
                value=self.label_smoothing,
            )
        if min(self.columns) < 1:
            raise InputError(
                f"columns are {self.columns}, but they count from 1.",
                remedy="[2, 1] reads the translation from the first column.",
                field="columns",
                value=self.columns,
            )


def settings_from_options(data: str, target: str) -> dict[str, Any]:
    """Convert the options --data and --target to settings."""
    return {"source": data, "target": target} if target else {"pairs": data}


def prepare(config: TranslationConfig, inputs: StageInputs) -> TrainingStage:
    """Prepare translation training from random weights, or from the parent's."""
    if config.bleu_pairs:  # fail now, not at the first evaluation
        require_packages()
    tokenizer = inputs.require_tokenizer()
    watcher = inputs.watcher
    seed = config.loop.seed
    device = resolve_device(config.loop.device)
    dtype = resolve_precision(config.loop.precision, device)
    model = _initialize(config.model, tokenizer.vocab_size, seed, inputs.parent)
    train_pairs, validation_pairs = _read(config, watcher)
    train = _encode(train_pairs, tokenizer, model.config, "training", watcher)
    validation = _encode(validation_pairs, tokenizer, model.config, "validation", watcher)
    length = model.config.context_length
    validation_config = PairBatchConfig(tokens=max(config.batches.tokens, length), accumulate=1)
    pad = tokenizer.control.pad
    stage = Translation(
        PairBatches(train, pad, config.batches, seed, device),
        PairBatches(validation, pad, validation_config, seed, device),
        dtype,
        config.label_smoothing,
        Translations(tokenizer, config.sample_texts),
        ValidationBleu(tokenizer, validation_pairs[: config.bleu_pairs]),
    )
    return TrainingStage(
        model=model,
        stage=stage,
        tokenizer=tokenizer,
        loop=config.loop,
        settings=identifying_settings(config, model),
        parent=inputs.parent,
    )


def _initialize(
    changes: dict[str, Any], vocab_size: int, seed: int, parent: Path | None
) -> EncoderDecoder:
    if parent is not None:
        return model_directory.load(parent, kind=EncoderDecoder, changes=changes)[0]
    shape = changes | {"vocab_size": vocab_size}
    size = shape.pop("size", "tiny")
    model = build_model.build(EncoderDecoder, encoder_decoder_preset(size, **shape))
    init_weights(model, generator(seed, "weights"))
    return model


def _read(
    config: TranslationConfig, watcher: Watcher
) -> tuple[list[SentencePair], list[SentencePair]]:
    """Return the sentence pairs for training and for validation."""
    pairs = _read_pairs(config.pairs, config.source, config.target, config, watcher)
    held_out = (config.validation_pairs, config.validation_source, config.validation_target)
    if any(held_out):
        validation = _read_pairs(*held_out, config, watcher)
        _report_repeats(pairs, validation, watcher)
        return pairs, validation
    return split_pairs(pairs, config.validation_share)


def _report_repeats(
    train: list[SentencePair], validation: list[SentencePair], watcher: Watcher
) -> None:
    """Report validation pairs that are also training pairs: they lower the validation loss."""
    training_pairs = {(pair.source, pair.target) for pair in train}
    n_repeats = sum((pair.source, pair.target) in training_pairs for pair in validation)
    if n_repeats:
        watcher.say(f"{n_repeats:,} of {len(validation):,} validation pairs are training pairs too")


def _read_pairs(
    pairs: DataSources,
    source: DataSources,
    target: DataSources,
    config: TranslationConfig,
    watcher: Watcher,
) -> list[SentencePair]:
    descriptions = [describe_source(to_data_source(s)) for s in (pairs, source, target) if s]
    watcher.say(f"reading {' and '.join(descriptions)}")
    skipped: list[DataError] = []
    sentence_pairs = read_sentence_pairs(pairs, source, target, config.columns, config, skipped)
    for problem in describe_skipped(skipped):
        watcher.say(f"left out: {problem}")
    return sentence_pairs


def _encode(
    pairs: list[SentencePair],
    tokenizer: Tokenizer,
    config: EncoderDecoderConfig,
    part: str,
    watcher: Watcher,
) -> EncodedPairs:
    """Encode pairs and report how many were too long."""
    length = config.context_length
    encoded = encode_pairs(pairs, tokenizer, length, config.start_id)
    n_token = sum(len(ids) - 1 for ids in encoded.targets)
    message = f"{part}: {len(encoded):,} pairs, {n_token:,} tokens to predict"
    if encoded.n_too_long:
        message += (
            f"; {encoded.n_too_long:,} left out because a side is longer than {length} tokens"
        )
    watcher.say(message)
    return encoded
