"""The stages a recipe can name, each a function (config, inputs, directory) -> nothing, that leaves one directory behind.

This is wiring: data, model and loop are built here from their configs and put together; the work is theirs.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TypeVar

import torch

from chatwright import starter
from chatwright.chat.assistant import Assistant
from chatwright.checkpoint import directory, model_directory
from chatwright.checkpoint.control_tokens import add_control_tokens, has_untrained_control_tokens
from chatwright.checkpoint.lock import writer_lock
from chatwright.commands import command_line
from chatwright.conversation import Message
from chatwright.data import corpus
from chatwright.data.readers import DataSource, describe_source, paths_of, read_rows
from chatwright.data.rows import ChatRow, TextRow
from chatwright.data.sentence_pairs import SentencePair
from chatwright.devices import generator, resolve_device, resolve_precision
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.request import Request, RequestId, TokenSampled
from chatwright.engine.sampling import SamplingConfig
from chatwright.evaluation.stop_rate import stop_rate
from chatwright.model.gpt import GPT
from chatwright.pipeline.initialize_model import initialize_model
from chatwright.pipeline.prepared_stage import Prepared
from chatwright.pipeline.stage_configs import (
    PretrainConfig,
    SFTConfig,
    StarterConfig,
    TokenizerConfig,
    to_data_source,
)
from chatwright.pipeline.teacher import with_teacher
from chatwright.pipeline.translation import read_named_pairs
from chatwright.tokenizer import wordpiece
from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.tokenizer.characters import CharacterTokenizer
from chatwright.tokenizer.chat_template import Rendered, format_of
from chatwright.tokenizer.control import ControlIds
from chatwright.tokenizer.imported import ImportedTokenizer
from chatwright.tokenizer.tokenizer import Tokenizer, load_tokenizer, unused_ids
from chatwright.tokenizer.tool_call_text import message_text
from chatwright.tokenizer.words import WordTokenizer
from chatwright.training.batches.packed import PackedBatches
from chatwright.training.batches.windows import WindowBatches
from chatwright.training.checks import RunFailed
from chatwright.training.stage import Batches, MicroBatch, Stage
from chatwright.training.stages import forgetting
from chatwright.training.stages.pretrain import Pretrain
from chatwright.training.stages.sft import SFT
from chatwright.training.validation import PackedValidation, StreamValidation, Validation
from chatwright.training.watcher import Watcher

Read = TypeVar("Read")


def run_starter(config: StarterConfig, out: Path, watcher: Watcher) -> None:
    watcher.say("writing the starter corpus: documents and conversations")
    with directory.atomic_directory(out / "world") as building:
        starter.write_corpus(
            building, config.size, config.seed, n_conversations=config.conversations
        )


def run_tokenizer(config: TokenizerConfig, out: Path, watcher: Watcher) -> None:
    written = (config.data, config.chat, config.pairs, config.source, config.target)
    watcher.say(
        f"learning a vocabulary from {' and '.join(describe_source(to_data_source(source)) for source in written if source)}"
    )
    texts = chain(
        _texts([to_data_source(source) for source in (config.data, config.chat) if source]),
        _sides(read_named_pairs(config.pairs, config.source, config.target, config.columns)),
    )
    made = _learned(config, texts)
    with directory.atomic_directory(out / "tokenizer") as building:
        made.save(building)
    watcher.say(f"{made.vocab_size} tokens")


def _learned(config: TokenizerConfig, texts: Iterator[str]) -> Tokenizer:
    match config.tokens:
        case "characters":
            return CharacterTokenizer.train(texts)
        case "wordpiece":
            return wordpiece.train(texts, config.vocab_size, config.cased)
        case "words":
            return WordTokenizer.train(texts, config.vocab_size)
        case "bpe":
            return ByteBPE.train(texts, config.vocab_size, " " if config.space_before else "")


def _texts(sources: list[DataSource]) -> Iterator[str]:
    for source in sources:
        for row in read_rows(source):
            if isinstance(row, TextRow):
                yield row.text
            elif isinstance(row, ChatRow):
                yield from (message_text(message) for message in row.messages)


def _sides(pairs: list[SentencePair]) -> Iterator[str]:
    for pair in pairs:
        yield from (pair.source, pair.target)


def run_pretrain(
    config: PretrainConfig,
    out: Path,
    watcher: Watcher,
    tokenizer: Tokenizer,
    parent: Path | None = None,
) -> None:
    prepare_pretrain(config, watcher, tokenizer, parent).train(out, watcher)


def prepare_pretrain(
    config: PretrainConfig, watcher: Watcher, tokenizer: Tokenizer, parent: Path | None = None
) -> Prepared:
    """From scratch, or from the model at `parent`."""
    device = resolve_device(config.loop.device)
    dtype = resolve_precision(config.loop.precision, device)
    model, parent = initialize_model(config, tokenizer.vocab_size, parent, watcher)
    length = model.config.context_length
    batches, validation = _to_read(config, tokenizer, length, watcher, device, dtype)
    sampler = (_Replies if config.chat else _Continuations)(
        tokenizer, config.sample_prompts, config.sample_tokens
    )
    stage = _completed(
        Pretrain(batches, validation, dtype, sampler), config, model, tokenizer, dtype, device
    )
    return Prepared(
        model,
        stage,
        tokenizer,
        config,
        parent,
        (lambda run: forgetting.check(run, config.forgetting_limit),),
    )


def _to_read(
    config: PretrainConfig,
    tokenizer: Tokenizer,
    length: int,
    watcher: Watcher,
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[Batches[MicroBatch], Validation]:
    """Texts, conversations or both, as one stream or as whole documents. The validation is on texts where there are any."""
    texts, held_texts = _texts_to_read(config, tokenizer, watcher) if config.data else (None, None)
    read, held_read = (
        _conversations_to_read(config, tokenizer, length, watcher) if config.chat else (None, None)
    )
    control, seed, batches = tokenizer.control, config.loop.seed, config.batches
    held_out = held_texts or corpus.as_documents(_given(held_read), tokenizer)
    if config.keep_whole:
        documents = corpus.as_rendered(texts, control.bos, length) if texts else []
        documents += (
            [corpus.to_be_read(conversation) for conversation in read.conversations] if read else []
        )
        rows, held_rows = (
            PackedBatches(some, control.pad, batches, length, seed, device)
            for some in (documents, corpus.as_rendered(held_out, control.bos, length))
        )
        return rows, PackedValidation(held_rows, dtype, held_out.n_bytes)
    if read:
        mixed = (
            corpus.mix_in(texts, read.conversations, control, generator(seed, "mixture"))
            if texts
            else corpus.as_documents(read, tokenizer)
        )
        n_read = mixed.n_documents - (texts.n_documents if texts else 0)
        if texts:
            watcher.say(
                f"and on {n_read:,} conversations among them: {len(mixed.stream):,} tokens in all"
            )
        _say_what_is_left_for_fine_tuning(watcher, len(read.conversations) - n_read)
        texts = mixed
    window = batches.context_length or length
    return WindowBatches(
        _given(texts), control.bos, batches, length, seed, device
    ), StreamValidation(held_out, window, dtype)


def _given(read: Read | None) -> Read:
    assert read is not None, "the config names texts or conversations"
    return read


def _texts_to_read(
    config: PretrainConfig, tokenizer: Tokenizer, watcher: Watcher
) -> tuple[corpus.EncodedCorpus, corpus.EncodedCorpus]:
    """(train, validation)"""
    source = to_data_source(config.data)
    watcher.say(f"reading {describe_source(source)}")
    texts, validation = corpus.encode_documents_split(
        source,
        tokenizer,
        config.validation_share,
        with_control=config.with_borders,
        skip_bad_rows=config.skip_bad_rows,
        leave_out_duplicates=config.leave_out_duplicates,
        leave_out_overlaps=config.leave_out_overlaps,
    )
    _say_what_was_read(
        watcher, texts, f"{texts.n_documents:,} texts, {len(texts.stream):,} tokens", "texts"
    )
    if texts.n_duplicates:
        watcher.say(f"left out: {texts.n_duplicates:,} texts that repeat an earlier one")
    if texts.n_overlaps:
        what = (
            "left out"
            if config.leave_out_overlaps
            else "kept (leave_out_overlaps = true leaves them out)"
        )
        watcher.say(
            f"{texts.n_overlaps:,} training texts share a run of 13 words with a validation text: {what}"
        )
    return texts, validation


def _conversations_to_read(
    config: PretrainConfig, tokenizer: Tokenizer, length: int, watcher: Watcher
) -> tuple[corpus.EncodedConversations, corpus.EncodedConversations]:
    """(train, validation): every token of a conversation is read, the questions too."""
    source = to_data_source(config.chat)
    watcher.say(f"reading {describe_source(source)}")
    read, held_out = corpus.encode_conversations_split(
        source, tokenizer, length, config.chat_validation_share, skip_bad_rows=config.skip_bad_rows
    )
    _say_what_was_read(
        watcher,
        read,
        f"{len(read.conversations):,} conversations, {read.n_tokens:,} tokens",
        "conversations",
    )
    return read, held_out


def _say_what_is_left_for_fine_tuning(watcher: Watcher, n_left: int) -> None:
    if n_left:
        watcher.say(
            f"left for fine-tuning: {n_left:,} conversations that hold an answer which is not to be learned"
        )


def run_sft(config: SFTConfig, out: Path, watcher: Watcher, parent: Path) -> None:
    prepare_sft(config, out, watcher, parent).train(out, watcher)


def prepare_sft(config: SFTConfig, out: Path, watcher: Watcher, parent: Path) -> Prepared:
    """Nothing is written to `out`, but for a parent that has to be given a chat format first."""
    device = resolve_device(config.loop.device)
    dtype = resolve_precision(config.loop.precision, device)
    parent = _able_to_converse(parent, out, watcher, config.lora is not None)
    tokenizer = tokenizer_of(parent)
    model, started_from = initialize_model(config, tokenizer.vocab_size, parent, watcher)
    length = config.batches.context_length or model.config.context_length
    source = to_data_source(config.data)
    watcher.say(f"reading {describe_source(source)}")
    train_set, validation = corpus.encode_conversations_split(
        source, tokenizer, length, config.validation_share, skip_bad_rows=config.skip_bad_rows
    )
    _say_what_was_read(
        watcher,
        train_set,
        f"{len(train_set.conversations):,} conversations, {train_set.n_supervised_tokens:,} supervised tokens",
        "conversations",
    )
    if train_set.n_overlaps:
        watcher.say(
            f"{train_set.n_overlaps:,} training conversations share a run of 13 words with a validation conversation; "
            "their questions differ, but the validation loss is a little flattered"
        )
    for part, name in ((train_set, "training"), (validation, "validation")):
        if part.n_cut or part.n_too_long:
            watcher.say(
                f"{name}: {part.n_cut} conversations lost later turns and {part.n_too_long} were left out, "
                f"because they are longer than {length} tokens"
            )
    sampler = _Replies(tokenizer, config.sample_prompts, config.sample_tokens)
    stops = _StopRate(
        tokenizer, validation.conversations[: config.stop_prompts], config.sample_tokens * 2
    )
    rows = [
        *train_set.conversations,
        *(
            _texts_again(config, train_set.n_tokens, tokenizer, length, watcher)
            if config.texts
            else []
        ),
    ]
    packed, held_out = (
        PackedBatches(some, tokenizer.control.pad, config.batches, length, config.loop.seed, device)
        for some in (rows, validation.conversations)
    )
    stage = _completed(
        SFT(packed, PackedValidation(held_out, dtype), dtype, sampler, stops),
        config,
        model,
        tokenizer,
        dtype,
        device,
    )
    return Prepared(
        model,
        stage,
        tokenizer,
        config,
        started_from,
        (
            lambda run: _require_stops(run, source),
            lambda run: forgetting.check(run, config.forgetting_limit),
        ),
    )


def _completed(
    stage: Stage[GPT, MicroBatch],
    config: PretrainConfig | SFTConfig,
    model: GPT,
    tokenizer: Tokenizer,
    dtype: torch.dtype,
    device: torch.device,
) -> Stage[GPT, MicroBatch]:
    """With a teacher and old texts around it, where the settings name some."""
    stage = with_teacher(stage, config.distillation, model, tokenizer, device, config.loop.seed)
    if not config.old_texts:
        return stage
    return forgetting.ForgettingCheck(
        stage, corpus.read_documents(to_data_source(config.old_texts))[0], tokenizer, dtype
    )


def _require_stops(run: Path, source: DataSource) -> None:
    notes = json.loads((run / "model" / "training.json").read_text())
    if notes["figures"].get("stop_rate") == 0.0:
        raise RunFailed(
            f"{run}: the tuned model never ended a reply by itself. Train longer, or see whether the answers are cut off: "
            + command_line(
                "data", "show", "--mask", paths_of(source)[0], "--tokenizer", run / "model"
            )
        )


def _able_to_converse(parent: Path, out: Path, watcher: Watcher, by_adapter: bool) -> Path:
    """The parent; where it came without a chat format, the same model with our control tokens, written beside the run."""
    tokenizer = load_tokenizer(model_directory.find(parent))
    if not isinstance(tokenizer, ImportedTokenizer):
        return parent
    if tokenizer.chat_format is not None:
        control = tokenizer.control
        if not (
            by_adapter
            and isinstance(control, ControlIds)
            and has_untrained_control_tokens(model_directory.load(parent)[0], control)
        ):
            return parent
    if by_adapter:
        raise ValueError(
            f"{parent}: came without a chat format. The control tokens it is given all begin alike, and an adapter trains no "
            "embeddings, so it could not tell them apart. Fine-tune it once without lora, then train adapters --from that."
        )
    start = out / "start"
    with writer_lock(out):
        directory.recover(out)
        if not start.exists():
            watcher.say(
                "the model came without a chat format: it is given our control tokens to learn to converse with"
            )
            model, _ = model_directory.load(parent)
            model_directory.save(
                start,
                *add_control_tokens(model, tokenizer),
                {"grown_from": model_directory.weights_hash(parent)},
            )
    return start


def _texts_again(
    config: SFTConfig, n_chat_tokens: int, tokenizer: Tokenizer, length: int, watcher: Watcher
) -> list[Rendered]:
    texts, _ = corpus.encode_documents_split(
        to_data_source(config.texts),
        tokenizer,
        config.texts_validation_share,
        skip_bad_rows=config.skip_bad_rows,
    )
    n_tokens = int(n_chat_tokens * config.texts_share / (1 - config.texts_share))
    chosen = corpus.some_as_rendered(
        texts,
        tokenizer.control.bos,
        n_tokens,
        length,
        generator(config.loop.seed, "texts read again"),
    )
    watcher.say(f"and on {len(chosen):,} texts read again among them")
    return chosen


def _say_what_was_read(
    watcher: Watcher, read: corpus.EncodedCorpus | corpus.EncodedConversations, what: str, kind: str
) -> None:
    watcher.say(f"training on {what}")
    if read.n_rows_ignored:
        watcher.say(f"passed over here: {read.n_rows_ignored:,} rows that are not {kind}")
    for sentence in read.skipped:
        watcher.say(f"left out: {sentence}")


def tokenizer_of(parent: Path) -> Tokenizer:
    return load_tokenizer(model_directory.find(parent))


class _Continuations:
    """What the unfinished model makes of a few openings, always with the same draws."""

    def __init__(self, tokenizer: Tokenizer, prompts: tuple[str, ...], tokens: int) -> None:
        self.tokenizer, self.prompts, self.tokens = tokenizer, prompts, tokens

    def __call__(self, model: GPT) -> list[tuple[str, str]]:
        with Engine(model) as engine:
            assistant = Assistant(engine, self.tokenizer)
            sampling = SamplingConfig(
                max_tokens=_fitting(self.tokens, model), temperature=0.8, seed=1
            )
            return [(p, assistant.complete(p, sampling).message.text) for p in self.prompts]


def _fitting(tokens: int, model: GPT) -> int:
    return min(tokens, model.config.context_length // 2)


class _Replies:
    def __init__(self, tokenizer: Tokenizer, prompts: tuple[str, ...], tokens: int) -> None:
        self.tokenizer, self.prompts, self.tokens = tokenizer, prompts, tokens

    def __call__(self, model: GPT) -> list[tuple[str, str]]:
        with Engine(model) as engine:
            sampling = SamplingConfig(max_tokens=_fitting(self.tokens, model), temperature=0.0)
            replies = Assistant(engine, self.tokenizer).replies(
                [[Message("user", p)] for p in self.prompts], sampling
            )
        return [
            (prompt, message_text(reply.message))
            for prompt, reply in zip(self.prompts, replies, strict=True)
        ]


class _StopRate:
    """The share of validation questions whose greedy reply ends by itself within the limit."""

    def __init__(
        self, tokenizer: Tokenizer, conversations: Sequence[Rendered], tokens: int
    ) -> None:
        self.stops, self.tokens = format_of(tokenizer).stop_ids, tokens
        self.banned_ids = unused_ids(tokenizer)
        self.prompts = [
            conversation.token_ids[: conversation.answers[0][0]] for conversation in conversations
        ]

    def __call__(self, model: GPT) -> dict[str, float]:
        room = model.config.context_length - self.tokens
        prompts = [prompt for prompt in self.prompts if len(prompt) <= room]
        if not prompts:
            return {}
        measured = stop_rate(lambda rows: self._generate(model, rows), prompts)
        return {"stop_rate": measured.share.value, "mean_reply_tokens": measured.mean_length}

    def _generate(
        self, model: GPT, prompts: Sequence[Sequence[int]]
    ) -> list[tuple[list[int], bool]]:
        sampling = SamplingConfig(temperature=0.0, max_tokens=self.tokens)
        with Engine(
            model, EngineConfig(n_slot=min(16, len(prompts)), max_waiting=len(prompts))
        ) as engine:
            ids = [
                engine.submit(Request(tuple(prompt), sampling, self.stops, self.banned_ids))
                for prompt in prompts
            ]
            replies: dict[RequestId, list[int]] = {request_id: [] for request_id in ids}
            stopped: dict[RequestId, bool] = {}
            while engine.has_work:
                for event in engine.step():
                    if isinstance(event, TokenSampled):
                        replies[event.request_id].append(event.token_id)
                    else:
                        stopped[event.request_id] = event.reason == "stop"
        return [(replies[request_id], stopped[request_id]) for request_id in ids]
