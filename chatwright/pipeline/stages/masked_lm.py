"""The stage that pretrains an encoder by masked-language modeling."""

from dataclasses import dataclass, field
from typing import Any

import torch

from chatwright import config as config_files
from chatwright.data.encoded.corpus import EncodedCorpus, documents_of
from chatwright.data.readers.data_source import ReadOptions
from chatwright.devices import resolve_device, resolve_precision
from chatwright.errors import InputError
from chatwright.model.encoder import Encoder
from chatwright.model.encoder_config import EncoderConfig
from chatwright.model.encoder_presets import ENCODER_PRESETS
from chatwright.pipeline.data_sources import DataSources
from chatwright.pipeline.initialize_encoder import initialize_encoder
from chatwright.pipeline.prepared_stage import StageInputs, TrainingStage, identifying_settings
from chatwright.pipeline.read_training_data import read_texts
from chatwright.pipeline.teacher import with_teacher
from chatwright.tokenizer.chat_template import Rendered
from chatwright.tokenizer.encoder_tokens import N_SPECIAL_TOKENS, split_evenly
from chatwright.tokenizer.tokenizer import Tokenizer, encoder_tokens_of
from chatwright.training.batches.packed import PackedBatches
from chatwright.training.cooccurrence import cooccurrence_embeddings
from chatwright.training.loop_config import LoopConfig
from chatwright.training.stage import BatchConfig
from chatwright.training.stages.distillation import DistillationConfig
from chatwright.training.stages.masked_lm import MaskedLM, Masking

ENCODER_TABLE = config_files.table_of(
    EncoderConfig, size=f"Preset to start from: {', '.join(ENCODER_PRESETS)}."
)
COUNTED_SCALE = 0.05
"""Scale of embeddings from word counts. It is small enough that the first loss is about ln V."""


@dataclass(frozen=True, kw_only=True)
class MaskedLMConfig(ReadOptions):
    """Settings of masked-language pretraining."""

    data: DataSources
    """Texts."""
    validation_share: float = 0.02
    """Share of the texts kept for validation."""
    mask_rate: float = 0.15
    """Share of the tokens to predict."""
    window: int = 0
    """Initialize embeddings from counts of words at most this far apart; 0: randomly."""
    model: dict[str, Any] = field(default_factory=lambda: {"size": "tiny"}, metadata=ENCODER_TABLE)
    """Shape of a new model. With --from only dropout may change."""
    distillation: DistillationConfig | None = None
    """Also learn from a teacher's probabilities."""
    batches: BatchConfig = field(default_factory=BatchConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.mask_rate < 1.0:
            raise InputError(
                f"mask_rate is {self.mask_rate}; it must be above 0 and below 1.",
                remedy="0.15 is the usual value.",
                field="mask_rate",
                value=self.mask_rate,
            )
        if self.window < 0:
            raise InputError(
                f"window is {self.window}; it is a number of words and cannot be negative.",
                remedy="For random embeddings, set window=0.",
                field="window",
                value=self.window,
            )


def prepare(config: MaskedLMConfig, inputs: StageInputs) -> TrainingStage:
    """Prepare masked-language pretraining from random weights, or from the parent's."""
    tokenizer = inputs.require_tokenizer()
    seed = config.loop.seed
    device = resolve_device(config.loop.device)
    dtype = resolve_precision(config.loop.precision, device)
    model, parent, _ = initialize_encoder(
        config.model, tokenizer.vocab_size, seed, inputs.parent, config.distillation
    )
    texts, held_out = read_texts(
        config.data, tokenizer, inputs.watcher, config.validation_share, options=config
    )
    if config.window and parent is None:
        _count_neighbors(model, texts, tokenizer, config.window, seed)
    length = config.batches.context_length or model.config.context_length
    pad = encoder_tokens_of(tokenizer).pad
    batches = PackedBatches(
        _pieces(texts, tokenizer, length), pad, config.batches, length, seed, device
    )
    validation = PackedBatches(
        _pieces(held_out, tokenizer, length), pad, config.batches, length, seed, device
    )
    stage = MaskedLM(batches, validation, _masking(tokenizer, config.mask_rate, seed), dtype)
    return TrainingStage(
        model=model,
        stage=with_teacher(stage, config.distillation, model, tokenizer, device, seed),
        tokenizer=tokenizer,
        loop=config.loop,
        settings=identifying_settings(config, model),
        parent=parent,
    )


def _masking(tokenizer: Tokenizer, rate: float, seed: int) -> Masking:
    mask = encoder_tokens_of(tokenizer).mask
    return Masking(rate, mask, tokenizer.control.all(), tokenizer.vocab_size, seed)


def _count_neighbors(
    model: Encoder, texts: EncodedCorpus, tokenizer: Tokenizer, window: int, seed: int
) -> None:
    """Compute the embeddings of words in the texts from their neighbors; others stay random."""
    is_text = torch.ones(tokenizer.vocab_size, dtype=torch.bool)
    is_text[torch.tensor(tokenizer.control.all())] = False
    embeddings = cooccurrence_embeddings(
        texts.stream,
        is_text,
        tokenizer.vocab_size,
        model.config.d_embedding,
        window,
        COUNTED_SCALE,
        seed,
    )
    is_counted = embeddings.any(dim=1)
    with torch.no_grad():
        model.embedding.weight[is_counted] = embeddings[is_counted]


def _pieces(texts: EncodedCorpus, tokenizer: Tokenizer, length: int) -> list[Rendered]:
    """Cut each text into pieces that fit into a row.

    Packing drops the last token of a document, which a decoder would only predict and never read.
    Therefore a second [SEP] is put at the end of each piece.
    """
    encoder_tokens = encoder_tokens_of(tokenizer)
    pieces = []
    for document in documents_of(texts.stream, tokenizer.control.bos):
        for piece in split_evenly(document[1:-1].tolist(), length - N_SPECIAL_TOKENS):
            ids = [*encoder_tokens.with_special_tokens(piece), encoder_tokens.sep]
            pieces.append(Rendered(ids, [True] * len(ids)))
    return pieces
