"""The stage that pretrains a decoder on texts, on conversations, or on both."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from chatwright import config as config_files
from chatwright.checkpoint.origin import origin_after
from chatwright.data.encoded import mixture
from chatwright.data.encoded.conversations import EncodedConversations
from chatwright.data.encoded.corpus import EncodedCorpus
from chatwright.data.readers.data_source import ReadOptions
from chatwright.devices import generator, resolve_device, resolve_precision
from chatwright.errors import InputError
from chatwright.model import lora
from chatwright.model.gpt_config import GPTConfig
from chatwright.model.lora import LoRAConfig
from chatwright.model.presets import PRESETS
from chatwright.pipeline.chosen_settings import choices_of
from chatwright.pipeline.data_sources import DataSources
from chatwright.pipeline.fine_tuning import FineTuning
from chatwright.pipeline.initialize_model import StartingModel, initialize_model
from chatwright.pipeline.old_texts import measure_old_texts, require_old_texts
from chatwright.pipeline.prepared_stage import StageInputs, TrainingStage, identifying_settings
from chatwright.pipeline.read_training_data import read_conversations, read_texts
from chatwright.pipeline.samplers import Continuations, Replies
from chatwright.pipeline.teacher import with_teacher
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.training.batches.packed import PackedBatches
from chatwright.training.batches.windows import WindowBatches
from chatwright.training.loop_config import LoopConfig
from chatwright.training.stage import BatchConfig, Batches, MicroBatch
from chatwright.training.stages import forgetting
from chatwright.training.stages.distillation import DistillationConfig
from chatwright.training.stages.pretrain import Pretrain
from chatwright.training.validation import PackedValidation, StreamValidation, Validation
from chatwright.training.watcher import Watcher

GPT_TABLE = config_files.table_of(GPTConfig, size=f"Preset to start from: {', '.join(PRESETS)}.")


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(ReadOptions):
    """Settings of pretraining."""

    data: DataSources = ""
    """Texts. Optional if `chat` is given."""
    chat: DataSources = ""
    """Conversations to mix into the texts, so that the model can reply before fine-tuning."""
    chat_validation_share: float = 0.05
    """Share of the conversations kept for validation.

    Use the value of `validation_share` of the fine-tuning stage: then neither stage trains on the
    validation conversations of the other.
    """
    validation_share: float = 0.02
    """Share of the texts kept for validation."""
    with_borders: bool = True
    """Put <|bos|> and <|end|> around each document."""
    keep_whole: bool = False
    """Pack short documents whole into rows, instead of cutting one stream into windows."""
    leave_out_duplicates: bool = True
    """Leave out texts that repeat an earlier one."""
    leave_out_overlaps: bool = False
    """Leave out training texts that share 13 words in a row with a validation text."""
    model: dict[str, Any] = field(default_factory=dict, metadata=GPT_TABLE)
    """Shape of a new model. With --from only dropout and context_length may change."""
    lora: LoRAConfig | None = None
    """Train an adapter beside the frozen weights of the model given by --from."""
    distillation: DistillationConfig | None = None
    """Also learn from a teacher's probabilities."""
    batches: BatchConfig = field(default_factory=BatchConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    old_texts: DataSources = ""
    """Texts of earlier training. Bits per byte on them measure how much the model forgets."""
    old_texts_bytes: int = forgetting.MAX_BYTES
    """Bytes of old_texts that every evaluation measures."""
    forgetting_limit: float = 0.0
    """Largest relative increase of bits per byte on old_texts before the run fails; 0: no limit."""
    sample_prompts: tuple[str, ...] = ("The", "Once upon a time")
    """Prompts that are continued at every evaluation."""
    sample_tokens: int = 48
    """Largest number of tokens of a sample."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.data and not self.chat:
            raise InputError(
                "There is no data to train on.",
                remedy="Give data (texts), chat (conversations) or both.",
                field="data",
            )
        require_old_texts(self.old_texts, self.forgetting_limit, self.old_texts_bytes)
        if self.batches.short_rows and not self.keep_whole:
            raise InputError(
                "batches.short_rows, the length of rows for short documents, needs keep_whole: "
                "without it, documents are cut into windows of one length.",
                remedy="Set keep_whole=true, or remove batches.short_rows.",
                field="batches.short_rows",
                value=self.batches.short_rows,
            )


def prepare(config: PretrainConfig, inputs: StageInputs) -> TrainingStage:
    """Prepare pretraining from random weights, or from the parent's."""
    tokenizer = inputs.require_tokenizer()
    seed = config.loop.seed
    device = resolve_device(config.loop.device)
    dtype = resolve_precision(config.loop.precision, device)
    start = StartingModel(
        shape=config.model, lora=config.lora, distillation=config.distillation, seed=seed
    )
    model, parent = initialize_model(start, tokenizer.vocab_size, inputs.parent, inputs.watcher)
    choices = choices_of(inputs.out, inputs.given)
    is_adapter = bool(lora.lora_layers(model))
    tuning = FineTuning(choices, model, origin_after(parent), is_adapter, inputs.watcher)
    config = tuning.fit_texts(config)
    reader = _Reader(config, tokenizer, model.config.context_length, inputs.watcher, device, dtype)
    batches, validation = reader.packed() if config.keep_whole else reader.windows()
    config = tuning.fit_text_steps(config, batches.describe()["tokens"])
    sampler = Replies if config.chat else Continuations
    samples = sampler(tokenizer, config.sample_prompts, config.sample_tokens)
    stage = with_teacher(
        Pretrain(batches, validation, dtype, samples),
        config.distillation,
        model,
        tokenizer,
        device,
        seed,
    )
    return TrainingStage(
        model=model,
        stage=measure_old_texts(
            stage, config.old_texts, config, tokenizer, dtype, config.old_texts_bytes
        ),
        tokenizer=tokenizer,
        loop=config.loop,
        settings=identifying_settings(config, model),
        parent=parent,
        checks=(partial(forgetting.check, limit=config.forgetting_limit),),
        chosen=choices.chosen,
    )


class _Reader:
    """Reads texts, conversations or both, and returns batches and validation data.

    Validation uses texts if there are any, and conversations otherwise.
    """

    def __init__(
        self,
        config: PretrainConfig,
        tokenizer: Tokenizer,
        length: int,
        watcher: Watcher,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.config = config
        self.tokenizer = tokenizer
        self.length = length
        self.watcher = watcher
        self.device = device
        self.dtype = dtype
        self.texts: EncodedCorpus | None = None
        self.conversations: EncodedConversations | None = None
        if config.data:
            self.texts, self.validation = self._read_texts()
        if config.chat:
            self.conversations, held_out = self._read_conversations()
            if not config.data:
                self.validation = mixture.corpus_of_conversations(held_out, tokenizer)

    def _read_texts(self) -> tuple[EncodedCorpus, EncodedCorpus]:
        config = self.config
        return read_texts(
            config.data,
            self.tokenizer,
            self.watcher,
            config.validation_share,
            options=config,
            with_control=config.with_borders,
            leave_out_duplicates=config.leave_out_duplicates,
            leave_out_overlaps=config.leave_out_overlaps,
        )

    def _read_conversations(
        self,
    ) -> tuple[EncodedConversations, EncodedConversations]:
        config = self.config
        return read_conversations(
            config.chat,
            self.tokenizer,
            self.watcher,
            self.length,
            config.chat_validation_share,
            config,
        )

    def packed(self) -> tuple[Batches[MicroBatch], Validation]:
        """Return whole documents packed into rows. All tokens of a conversation are targets."""
        bos = self.tokenizer.control.bos
        documents = mixture.rows_of_documents(self.texts, bos, self.length) if self.texts else []
        if self.conversations:
            documents += [
                mixture.with_questions_learned(c) for c in self.conversations.conversations
            ]
        held_out = mixture.rows_of_documents(self.validation, bos, self.length)
        validation = PackedValidation(self._pack(held_out), self.dtype, self.validation.n_bytes)
        return self._pack(documents), validation

    def _pack(self, documents: list[Any]) -> PackedBatches:
        config = self.config
        pad = self.tokenizer.control.pad
        return PackedBatches(
            documents, pad, config.batches, self.length, config.loop.seed, self.device
        )

    def windows(self) -> tuple[Batches[MicroBatch], Validation]:
        """Return windows of one stream that holds all documents."""
        config = self.config
        stream = self._stream()
        window = config.batches.context_length or self.length
        bos = self.tokenizer.control.bos
        batches = WindowBatches(
            stream, bos, config.batches, self.length, config.loop.seed, self.device
        )
        return batches, StreamValidation(self.validation, window, self.dtype)

    def _stream(self) -> EncodedCorpus:
        """Return the texts, with the conversations mixed in."""
        if self.conversations is None:
            assert self.texts is not None, "the settings name texts or conversations"
            return self.texts
        conversations = self.conversations.conversations
        if self.texts is None:
            stream = mixture.corpus_of_conversations(self.conversations, self.tokenizer)
            n_mixed = stream.n_documents
        else:
            draws = generator(self.config.loop.seed, "mixture")
            stream = mixture.mix_in(self.texts, conversations, self.tokenizer.control, draws)
            n_mixed = stream.n_documents - self.texts.n_documents
            self.watcher.say(
                f"{n_mixed:,} conversations are mixed into the texts: {len(stream.stream):,} "
                "tokens in all"
            )
        if n_left := len(conversations) - n_mixed:
            self.watcher.say(
                f"left out: {n_left:,} conversations with a message that is excluded from "
                "training; fine-tuning can use them"
            )
        return stream
