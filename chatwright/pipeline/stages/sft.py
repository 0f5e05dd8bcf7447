"""The stage that fine-tunes a decoder on example conversations."""

import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from chatwright.checkpoint import directory, model_directory
from chatwright.checkpoint.control_tokens import add_control_tokens, has_untrained_control_tokens
from chatwright.checkpoint.lock import writer_lock
from chatwright.checkpoint.origin import origin_of
from chatwright.commands import command_line
from chatwright.data.encoded import mixture
from chatwright.data.encoded.corpus import encode_documents_split
from chatwright.data.readers.data_source import DataSource, ReadOptions, paths_of
from chatwright.devices import generator, resolve_device, resolve_precision
from chatwright.errors import InputError
from chatwright.model import lora
from chatwright.model.lora import LoRAConfig
from chatwright.pipeline.chosen_settings import choices_of
from chatwright.pipeline.data_sources import DataSources, to_data_source
from chatwright.pipeline.fine_tuning import FineTuning, shorten_to_rows, warn_of_few
from chatwright.pipeline.initialize_model import StartingModel, initialize_model
from chatwright.pipeline.old_texts import measure_old_texts, require_old_texts
from chatwright.pipeline.prepared_stage import StageInputs, TrainingStage, identifying_settings
from chatwright.pipeline.read_training_data import read_conversations
from chatwright.pipeline.samplers import ExactMatch, Replies, StopRate
from chatwright.pipeline.stages.pretrain import GPT_TABLE
from chatwright.pipeline.system_prompt import with_system_prompt
from chatwright.pipeline.teacher import with_teacher
from chatwright.tokenizer.chat_template import Rendered
from chatwright.tokenizer.control import ControlIds
from chatwright.tokenizer.imported import ImportedTokenizer
from chatwright.tokenizer.tokenizer import Tokenizer, load_tokenizer
from chatwright.training.batches.packed import PackedBatches
from chatwright.training.checks import RunFailed
from chatwright.training.loop_config import LoopConfig
from chatwright.training.stage import BatchConfig
from chatwright.training.stages import forgetting
from chatwright.training.stages.distillation import DistillationConfig
from chatwright.training.stages.sft import SFT
from chatwright.training.validation import PackedValidation
from chatwright.training.watcher import Watcher

SMALL_SET = 500
"""With more training conversations, nobody expects every answer word for word."""
N_ASKED = 16
"""Most training questions that are asked at an evaluation."""


@dataclass(frozen=True, kw_only=True)
class SFTConfig(ReadOptions):
    """Settings of supervised fine-tuning."""

    data: DataSources
    """Conversations."""
    system: str | None = None
    """System prompt of conversations without one; without this setting, the model's own."""
    texts: DataSources = ""
    """Texts to mix into the conversations, so that the model does not forget them."""
    texts_share: float = 0.25
    """Share of the training tokens that come from `texts`."""
    texts_validation_share: float = 0.02
    """Share of `texts` kept out of training. Use the value of the pretraining stage."""
    validation_share: float = 0.05
    """Share of the conversations kept for validation."""
    passes: float = 3.0
    """Passes over the data if loop.steps is not given and the settings are fitted to the data."""
    batches: BatchConfig = field(default_factory=BatchConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    old_texts: DataSources = ""
    """Texts of earlier training. Bits per byte on them measure how much the model forgets."""
    old_texts_bytes: int = forgetting.MAX_BYTES
    """Bytes of old_texts that every evaluation measures."""
    forgetting_limit: float = 0.0
    """Largest relative increase of bits per byte on old_texts before the run fails; 0: no limit."""
    sample_prompts: tuple[str, ...] = ("Hello!", "Who are you?")
    """Messages that are answered at every evaluation."""
    sample_tokens: int = 64
    """Largest number of tokens of a sample."""
    stop_prompts: int = 40
    """Number of validation questions for the stop rate, the share of replies that end."""
    model: dict[str, Any] = field(default_factory=dict, metadata=GPT_TABLE)
    """Changes to the parent's model: dropout and a longer context_length."""
    lora: LoRAConfig | None = None
    """Train an adapter beside the parent's frozen weights."""
    distillation: DistillationConfig | None = None
    """Also learn from a teacher's probabilities."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.texts_share < 1.0:
            raise InputError(
                f"texts_share is {self.texts_share}; it must be above 0 and below 1.",
                remedy="To train without texts, remove the setting texts.",
                field="texts_share",
                value=self.texts_share,
            )
        if not self.passes > 0:
            raise InputError(
                f"passes is {self.passes}; it must be above 0.",
                remedy="Give the number of passes over the data, for example passes=3.",
                field="passes",
                value=self.passes,
            )
        require_old_texts(self.old_texts, self.forgetting_limit, self.old_texts_bytes)


def prepare(config: SFTConfig, inputs: StageInputs) -> TrainingStage:
    """Prepare fine-tuning.

    If the parent has no chat format, a copy of it with control tokens is saved in out/start.
    """
    assert inputs.parent is not None, "fine-tuning needs a parent"
    watcher = inputs.watcher
    seed = config.loop.seed
    device = resolve_device(config.loop.device)
    dtype = resolve_precision(config.loop.precision, device)
    parent = _with_chat_format(inputs.parent, inputs.out, watcher, config.lora is not None)
    tokenizer = load_tokenizer(model_directory.find(parent))
    tokenizer = with_system_prompt(tokenizer, config.system, watcher)
    start = StartingModel(
        shape=config.model, lora=config.lora, distillation=config.distillation, seed=seed
    )
    model, started_from = initialize_model(start, tokenizer.vocab_size, parent, watcher)
    model.to(device)
    choices = choices_of(inputs.out, inputs.given)
    is_adapter = bool(lora.lora_layers(model))
    tuning = FineTuning(choices, model, origin_of(parent), is_adapter, watcher)
    config, data = _read_data(config, tuning, tokenizer, dtype, watcher)
    sft = SFT(
        data.batches,
        PackedValidation(data.validation, dtype),
        dtype,
        Replies(tokenizer, config.sample_prompts, config.sample_tokens),
        StopRate(tokenizer, data.questions[: config.stop_prompts], config.sample_tokens * 2),
        ExactMatch(data.asked),
    )
    checks: list[Callable[[Path], None]] = []
    if _usually_end_within(data.questions[: config.stop_prompts], config.sample_tokens * 2):
        checks.append(partial(_require_stops, source=to_data_source(config.data)))
    stage = with_teacher(sft, config.distillation, model, tokenizer, device, seed)
    return TrainingStage(
        model=model,
        stage=measure_old_texts(
            stage, config.old_texts, config, tokenizer, dtype, config.old_texts_bytes
        ),
        tokenizer=tokenizer,
        loop=config.loop,
        settings=identifying_settings(config, model),
        parent=started_from,
        checks=(*checks, partial(forgetting.check, limit=config.forgetting_limit)),
        chosen=choices.chosen,
    )


@dataclass(frozen=True)
class _Data:
    """The data of a run, packed into rows."""

    batches: PackedBatches
    validation: PackedBatches
    questions: list[Rendered]
    """The validation conversations."""
    asked: list[Rendered]
    """Training conversations of a small set; the model may be meant to know their answers."""


def _read_data(
    config: SFTConfig,
    tuning: FineTuning,
    tokenizer: Tokenizer,
    dtype: torch.dtype,
    watcher: Watcher,
) -> tuple[SFTConfig, _Data]:
    """Read and pack the conversations; return them with the settings fitted to them."""
    config = tuning.fit_before_reading(config)
    seed = config.loop.seed
    device = tuning.model.device
    pad = tokenizer.control.pad
    length = config.batches.context_length or tuning.model.config.context_length
    train, held_out = read_conversations(
        config.data, tokenizer, watcher, length, config.validation_share, config
    )
    config = tuning.fit_batches(config, train.conversations, held_out.conversations, pad, dtype)
    length = config.batches.context_length or length
    train = shorten_to_rows(watcher, train, "training", length)
    held_out = shorten_to_rows(watcher, held_out, "validation", length)
    rows = list(train.conversations)
    if config.texts:
        rows += _read_texts_again(config, train.n_tokens, tokenizer, length, watcher)
    batches = PackedBatches(rows, pad, config.batches, length, seed, device)
    validation = PackedBatches(held_out.conversations, pad, config.batches, length, seed, device)
    config = tuning.fit_loop(config, batches.n_step, config.passes)
    tuning.report(config, batches, validation, len(train.conversations))
    warn_of_few(watcher, len(held_out.conversations))
    n_train = len(train.conversations)
    asked: list[Rendered] = []
    if tuning.is_fitted and n_train <= SMALL_SET:  # spread over the files
        asked = train.conversations[:: math.ceil(n_train / N_ASKED)]
    return config, _Data(batches, validation, held_out.conversations, asked)


def _read_texts_again(
    config: SFTConfig, n_chat_tokens: int, tokenizer: Tokenizer, length: int, watcher: Watcher
) -> list[Rendered]:
    """Return rows of texts with so many tokens that `texts_share` of all tokens are theirs."""
    texts, _ = encode_documents_split(
        to_data_source(config.texts),
        tokenizer,
        config.texts_validation_share,
        options=config,
    )
    n_token = int(n_chat_tokens * config.texts_share / (1 - config.texts_share))
    draws = generator(config.loop.seed, "texts read again")
    chosen = mixture.sample_rows(texts, tokenizer.control.bos, n_token, length, draws)
    watcher.say(f"{len(chosen):,} texts are mixed into the conversations")
    return chosen


def _usually_end_within(conversations: Sequence[Rendered], limit: int) -> bool:
    """Return whether at least half of the first answers in the data end within `limit` tokens."""
    lengths = [end - start for start, end in (c.answers[0] for c in conversations)]
    return bool(lengths) and statistics.median(lengths) <= limit


def _require_stops(run: Path, source: DataSource) -> None:
    """Raise RunFailed if the fine-tuned model never ended a reply by itself."""
    notes = json.loads((run / "model" / "training.json").read_text(encoding="utf-8"))
    if notes["figures"].get("stop_rate") == 0.0:
        show = command_line(
            "data", "show", "--mask", paths_of(source)[0], "--tokenizer", run / "model"
        )
        raise RunFailed(
            f"{run}: the fine-tuned model never ended a reply by itself. Train longer, or check "
            f"whether the replies in the data are cut off: {show}",
            check="stop_rate",
        )


def _with_chat_format(parent: Path, out: Path, watcher: Watcher, is_adapter: bool) -> Path:
    """Return the parent, or a copy of it with control tokens if it has no chat format."""
    tokenizer = load_tokenizer(model_directory.find(parent))
    if not isinstance(tokenizer, ImportedTokenizer):
        return parent
    if tokenizer.chat_format is not None and not (
        is_adapter and _has_untrained_control_tokens(parent, tokenizer)
    ):
        return parent
    if is_adapter:
        raise InputError(
            f"{parent}: this model was imported without a chat format. Its new control tokens all "
            "have the same embedding. An adapter does not train embeddings, so it could not "
            "distinguish these tokens.",
            remedy="Fine-tune the model once without lora, then train adapters --from the result.",
            field="lora",
        )
    start = out / "start"
    with writer_lock(out):
        directory.recover(out)
        if not start.exists():
            watcher.say("the model has no chat format: adding control tokens for conversations")
            model, _ = model_directory.load(parent)
            notes = {"grown_from": model_directory.weights_hash(parent)}
            model_directory.save(start, *add_control_tokens(model, tokenizer), notes)
    return start


def _has_untrained_control_tokens(parent: Path, tokenizer: ImportedTokenizer) -> bool:
    control = tokenizer.control
    return isinstance(control, ControlIds) and has_untrained_control_tokens(
        model_directory.load(parent)[0], control
    )
