"""The stage that trains an encoder to predict the labels of texts."""

from dataclasses import dataclass, field
from typing import Any

from chatwright.data.encoded.labels import EncodedLabels, encode_labeled
from chatwright.data.readers.data_source import ReadOptions, describe_source
from chatwright.data.readers.labeled_texts import (
    label_names,
    read_labeled,
    split_labeled,
    without_repeats,
)
from chatwright.data.readers.problems import describe_skipped
from chatwright.data.rows import DataError, LabeledText
from chatwright.devices import resolve_device, resolve_precision
from chatwright.errors import InputError
from chatwright.model.heads import is_head_parameter
from chatwright.pipeline.data_sources import DataSources, to_data_source
from chatwright.pipeline.initialize_encoder import initialize_encoder
from chatwright.pipeline.prepared_stage import StageInputs, TrainingStage, identifying_settings
from chatwright.pipeline.samplers import PredictedLabels
from chatwright.pipeline.stages.masked_lm import ENCODER_TABLE
from chatwright.pipeline.teacher import with_teacher
from chatwright.tokenizer.tokenizer import encoder_tokens_of
from chatwright.training.batches.labels import LabelBatchConfig, LabelBatches
from chatwright.training.loop_config import LoopConfig
from chatwright.training.stages.classification import Classification
from chatwright.training.stages.distillation import DistillationConfig
from chatwright.training.watcher import Watcher


@dataclass(frozen=True, kw_only=True)
class ClassifyConfig(ReadOptions):
    """Settings of training a classifier of texts."""

    data: DataSources
    """Labeled texts."""
    validation: DataSources = ""
    """Labeled texts for validation. Without them a share of the data is used."""
    validation_share: float = 0.1
    """Share of the data kept for validation."""
    label_smoothing: float = 0.0
    """Probability spread evenly over all labels; 0: none."""
    model: dict[str, Any] = field(default_factory=dict, metadata=ENCODER_TABLE)
    """Shape of a new model. With --from only dropout and the pooler may change."""
    distillation: DistillationConfig | None = None
    """Also learn from a teacher's probabilities."""
    batches: LabelBatchConfig = field(default_factory=LabelBatchConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    sample_texts: tuple[str, ...] = ()
    """Texts whose predictions are shown at every evaluation."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.distillation and self.label_smoothing:
            raise InputError(
                "label_smoothing and distillation do not work together: a teacher's probabilities "
                "are already smooth.",
                remedy="Remove one of them.",
                field="label_smoothing",
                value=self.label_smoothing,
            )


def prepare(config: ClassifyConfig, inputs: StageInputs) -> TrainingStage:
    """Prepare the training of a classifier, from random weights, an encoder or a classifier.

    An encoder gets a new label head. A classifier with the same labels keeps its head.
    """
    tokenizer = inputs.require_tokenizer()
    seed = config.loop.seed
    device = resolve_device(config.loop.device)
    dtype = resolve_precision(config.loop.precision, device)
    train_rows, validation_rows = _read(config, inputs.watcher)
    names = label_names(train_rows)
    model, parent, fresh = initialize_encoder(
        config.model,
        tokenizer.vocab_size,
        seed,
        inputs.parent,
        config.distillation,
        head={"head": "labels", "labels": names},
    )
    length = model.config.context_length
    train = encode_labeled(train_rows, tokenizer, names, length)
    held_out = encode_labeled(validation_rows, tokenizer, names, length)
    _report(inputs.watcher, train)
    encoder_tokens = encoder_tokens_of(tokenizer)
    stage = Classification(
        LabelBatches(train, encoder_tokens, config.batches, seed, device),
        LabelBatches(held_out, encoder_tokens, config.batches, seed, device),
        dtype,
        parent is None or any(map(is_head_parameter, fresh)),
        config.label_smoothing,
        PredictedLabels(tokenizer, config.sample_texts),
    )
    return TrainingStage(
        model=model,
        stage=with_teacher(stage, config.distillation, model, tokenizer, device, seed),
        tokenizer=tokenizer,
        loop=config.loop,
        settings=identifying_settings(config, model),
        parent=parent,
    )


def _read(config: ClassifyConfig, watcher: Watcher) -> tuple[list[LabeledText], list[LabeledText]]:
    """Return the labeled texts for training and for validation."""
    skipped: list[DataError] = []
    source = to_data_source(config.data)
    watcher.say(f"reading {describe_source(source)}")
    train = read_labeled(source, config, skipped)
    if config.validation:
        validation = read_labeled(to_data_source(config.validation), config, skipped)
    else:
        train, validation = split_labeled(train, config.validation_share)
    for problem in describe_skipped(skipped):
        watcher.say(f"left out: {problem}")
    return train, _without_repeats(train, validation, watcher)


def _without_repeats(
    train: list[LabeledText], validation: list[LabeledText], watcher: Watcher
) -> list[LabeledText]:
    """Return the validation rows whose text is not in the training rows.

    If there are none, return all validation rows and warn.
    """
    kept = without_repeats(train, validation)
    n_repeats = len(validation) - len(kept)
    if not kept:
        watcher.warn(
            f"all {n_repeats:,} validation rows repeat a text of the training rows, so the "
            "validation accuracy says nothing about other texts"
        )
        return validation
    if n_repeats:
        watcher.say(
            f"validation on {len(kept):,} of {len(validation):,} rows: {n_repeats:,} repeat a text "
            "of the training rows and are left out"
        )
    return kept


def _report(watcher: Watcher, read: EncodedLabels) -> None:
    counts = read.describe()["labels"]
    listed = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    watcher.say(f"training on {len(read):,} texts: {listed}")
    n_long = sum(len(pieces) > 1 for pieces in read.pieces)
    if n_long:
        watcher.say(
            f"{n_long:,} texts are longer than the model's context: each epoch trains on one piece "
            "of each, and a prediction reads all pieces"
        )
