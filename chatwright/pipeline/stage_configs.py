"""What a person may write in the tables of a recipe, one frozen dataclass a stage kind. Defaults here, differences in the file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from chatwright import config as config_files
from chatwright.data.readers import DataSource
from chatwright.model.encoder_decoder_config import EncoderDecoderConfig
from chatwright.model.encoder_decoder_presets import ENCODER_DECODER_PRESETS
from chatwright.model.gpt_config import GPTConfig
from chatwright.model.lora import LoRAConfig
from chatwright.model.presets import PRESETS
from chatwright.training.batches.pairs import PairBatchConfig
from chatwright.training.loop_config import LoopConfig
from chatwright.training.stage import BatchConfig
from chatwright.training.stages.distillation import DistillationConfig

GPT_TABLE = config_files.table_of(GPTConfig, size=f"Preset to start from: {', '.join(PRESETS)}.")
ENCODER_DECODER_TABLE = config_files.table_of(
    EncoderDecoderConfig, size=f"Preset to start from: {', '.join(ENCODER_DECODER_PRESETS)}."
)
DataSources = str | tuple[str, ...]  # a file or folder, or a list of them
# What in a stage's table names files or folders.
DATA_SOURCE_KEYS = (
    "data",
    "chat",
    "texts",
    "old_texts",
    "validation",
    "pairs",
    "source",
    "target",
    "validation_pairs",
    "validation_source",
    "validation_target",
)


def to_data_source(written: DataSources) -> DataSource:
    return Path(written) if isinstance(written, str) else tuple(map(Path, written))


@dataclass(frozen=True, kw_only=True)
class StarterConfig:
    """Write the starter world's texts and conversations."""

    size: float = 1.0
    seed: int = 0
    conversations: int = 0  # how many to write; 0 takes what belongs to a world of this size


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """Learn a vocabulary from the same texts the model will read."""

    data: DataSources = ""
    chat: DataSources = ""  # conversations whose text counts too
    pairs: DataSources = ""  # sentence pairs, whose both sides count: files that hold both, and/or
    source: DataSources = ""  # files with a sentence a line, one for each side
    target: DataSources = ""
    columns: tuple[int, int] = (1, 2)  # where source and target stand in tab-separated pairs
    tokens: Literal["bpe", "characters", "wordpiece", "words"] = (
        "bpe"  # wordpiece is for encoders, words for word vectors alone
    )
    vocab_size: int = 4096  # control tokens included; characters take as many as the text has
    space_before: bool = (
        False  # a word is one token wherever it stands, also at the beginning of a text (bpe)
    )
    cased: bool = False  # keep capitals and accents (wordpiece)

    def __post_init__(self) -> None:
        if not (self.data or self.chat or self.pairs or self.source):
            raise ValueError(
                "there is nothing to learn a vocabulary from: give data (texts), chat (conversations) or sentence pairs"
            )
        _require_both_sides(self.source, self.target, "")


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Learn to continue plain text."""

    data: DataSources = ""  # texts; may be left out where there are only conversations
    chat: DataSources = (
        ""  # conversations among the texts: the model can speak before it is fine-tuned
    )
    chat_validation_share: float = (
        0.05  # of the conversations, kept out of pretraining too: the same as the fine-tuning's
    )
    validation_share: float = 0.02
    with_borders: bool = True  # <|bos|> and <|end|> around each document
    keep_whole: bool = (
        False  # short documents stay whole, several to a row, instead of windows of one stream
    )
    skip_bad_rows: bool = (
        False  # leave out rows that cannot be read (each is said), instead of stopping
    )
    leave_out_duplicates: bool = True
    leave_out_overlaps: bool = (
        False  # training texts that share a run of 13 words with a validation text
    )
    model: dict[str, Any] = field(default_factory=dict, metadata=GPT_TABLE)
    """Shape of a new model. With --from, only what no weight depends on: dropout, context_length."""
    lora: LoRAConfig | None = (
        None  # train an adapter beside the frozen weights of the model gone on from
    )
    distillation: DistillationConfig | None = None  # learn from a teacher too
    batches: BatchConfig = field(default_factory=BatchConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    old_texts: DataSources = ""  # of what the model knew before: bits per byte on them is measured, to see what it forgets
    forgetting_limit: float = (
        0.0  # the run fails where that figure has risen by more than this share; 0: it is only said
    )
    sample_prompts: tuple[str, ...] = ("The", "Once upon a time")
    sample_tokens: int = 48

    def __post_init__(self) -> None:
        if not self.data and not self.chat:
            raise ValueError(
                "there is nothing to read: give data (texts), chat (conversations) or both"
            )
        _check_forgetting(self.old_texts, self.forgetting_limit)
        if self.batches.short_rows and not self.keep_whole:
            raise ValueError(
                "batches.short_rows is for documents that stay whole: set keep_whole = true, or leave it out"
            )


@dataclass(frozen=True, kw_only=True)
class SFTConfig:
    """Learn to answer from example conversations."""

    data: DataSources
    texts: DataSources = (
        ""  # plain texts read again among the conversations, so that they are not forgotten
    )
    texts_share: float = 0.25  # of the tokens
    texts_validation_share: float = (
        0.02  # of the texts, kept out here too: the same as the pretraining's
    )
    validation_share: float = 0.05
    skip_bad_rows: bool = False
    batches: BatchConfig = field(default_factory=BatchConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    old_texts: DataSources = ""  # of what the model knew before: bits per byte on them is measured, to see what it forgets
    forgetting_limit: float = (
        0.0  # the run fails where that figure has risen by more than this share; 0: it is only said
    )
    sample_prompts: tuple[str, ...] = ("Hello!", "Who are you?")
    sample_tokens: int = 64
    stop_prompts: int = 40  # validation questions on which the stop rate is measured
    model: dict[str, Any] = field(default_factory=dict, metadata=GPT_TABLE)
    """Changes to the parent's model that no weight depends on: dropout, a longer context_length."""
    lora: LoRAConfig | None = (
        None  # train an adapter beside the parent's frozen weights, instead of these
    )
    distillation: DistillationConfig | None = None  # learn from a teacher too

    def __post_init__(self) -> None:
        if not 0.0 < self.texts_share < 1.0:
            raise ValueError(
                f"texts_share ({self.texts_share}) must be above 0 and below 1; without texts leave texts empty"
            )
        _check_forgetting(self.old_texts, self.forgetting_limit)


def _check_forgetting(old_texts: DataSources, limit: float) -> None:
    if limit < 0 or (limit and not old_texts):
        raise ValueError(
            f"forgetting_limit ({limit}) must be at least 0, and needs old_texts to measure on"
        )


@dataclass(frozen=True, kw_only=True)
class TranslationConfig:
    """Learn to translate from sentence pairs."""

    pairs: DataSources = ""  # .tsv, .txt with tabs or .jsonl files that hold both sides, and/or
    source: DataSources = ""  # two files with a sentence a line
    target: DataSources = ""
    columns: tuple[int, int] = (
        1,
        2,
    )  # where source and target stand in tab-separated pairs, from 1
    validation_pairs: DataSources = ""  # without any, a share of the pairs is kept out of training
    validation_source: DataSources = ""
    validation_target: DataSources = ""
    validation_share: float = 0.02
    skip_bad_rows: bool = (
        False  # leave out rows that cannot be read (each is said), instead of stopping
    )
    label_smoothing: float = 0.1
    model: dict[str, Any] = field(default_factory=dict, metadata=ENCODER_DECODER_TABLE)
    """Shape of a new model. With --from, only what no weight depends on: dropout, context_length."""
    batches: PairBatchConfig = field(default_factory=PairBatchConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    sample_texts: tuple[str, ...] = ()  # translated at every evaluation, for a person to see
    bleu_pairs: int = (
        0  # validation pairs translated greedily at every evaluation; needs chatwright[translation]
    )

    def __post_init__(self) -> None:
        if not (self.pairs or self.source):
            raise ValueError(
                "there is nothing to learn from: give pairs (files that hold both sides), or source and target"
            )
        _require_both_sides(self.source, self.target, "")
        _require_both_sides(self.validation_source, self.validation_target, "validation_")
        if not 0.0 <= self.label_smoothing < 1.0:
            raise ValueError(
                f"label_smoothing ({self.label_smoothing}) must be at least 0 and below 1"
            )
        if min(self.columns) < 1:
            raise ValueError(
                f"columns ({self.columns}) count from 1: [2, 1] reads the translation before the source"
            )


def _require_both_sides(source: DataSources, target: DataSources, prefix: str) -> None:
    if bool(source) != bool(target):
        raise ValueError(
            f"{prefix}source and {prefix}target go together: line n of one is the translation of line n of the other"
        )
