"""Evaluate a model with a suite, which is one kind of measurement (`chatwright eval`)."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from chatwright import starter
from chatwright.chat.assistant import Assistant
from chatwright.checkpoint import model_directory
from chatwright.commands import command_line
from chatwright.conversation import Message
from chatwright.data.encoded.conversations import read_conversations
from chatwright.data.encoded.corpus import read_texts
from chatwright.data.encoded.labels import encode_labeled
from chatwright.data.readers.data_source import DEFAULTS, ReadOptions
from chatwright.data.readers.labeled_texts import read_labeled
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.messages import SamplingConfig
from chatwright.errors import InputError
from chatwright.evaluation.analogies import analogies, read_questions
from chatwright.evaluation.bits_per_byte import bits_per_byte
from chatwright.evaluation.blimp import blimp
from chatwright.evaluation.classification import label_scores
from chatwright.evaluation.interval import Share
from chatwright.evaluation.lookup import Lookup
from chatwright.evaluation.starter import Reply, score_exam
from chatwright.model.encoder import Encoder
from chatwright.model.gpt import GPT
from chatwright.model.model import Model
from chatwright.pipeline.similarity_suite import evaluate_retrieval, evaluate_similarity
from chatwright.pipeline.translation_suite import TranslationSettings, evaluate_translation
from chatwright.tokenizer.tokenizer import Tokenizer, encoder_tokens_of
from chatwright.tokenizer.word_lookup import single_token_words
from chatwright.training.batches.labels import LabelBatchConfig, LabelBatches
from chatwright.training.stages.classification import text_log_probs

MAX_STOP_RATE_PROMPTS = 200
MAX_REPLY_TOKENS = 200
EXAM_ITEMS_PER_SKILL = 300  # test questions on each skill that the starter corpus teaches
SMOKE_ITEMS = 5

Figures = dict[str, Any]
"""Measured values by name."""


def evaluate(
    directory: Path,
    suite: str,
    data: Path | None,
    smoke: bool = False,
    translation: TranslationSettings = TranslationSettings(),
    reading: ReadOptions = DEFAULTS,
) -> Figures:
    """Evaluate the model in a directory and return the measured values by name.

    Args:
        directory: A model directory, or the directory of a run.
        suite: Name of the suite.
        data: The data to measure on. Only the suite "starter" needs none.
        smoke: Measure only a few items of the suites "translation" and "starter", as a quick test.
        translation: Settings of the suite "translation".
        reading: How to read texts, conversations, labels and sentence pairs.

    Raises:
        InputError: The suite is unknown, or its data are missing or unsuitable.
    """
    suites: dict[str, Callable[[Path, Path], Figures]] = {
        "bits-per-byte": partial(_bits_per_byte, reading=reading),
        "blimp": _blimp,
        "stop-rate": partial(_stop_rate, reading=reading),
        "analogies": _analogies,
        "similarity": partial(evaluate_similarity, reading=reading),
        "retrieval": partial(evaluate_retrieval, reading=reading),
        "labels": partial(_labels, reading=reading),
        "translation": lambda directory, data: evaluate_translation(
            directory, data, translation, reading, SMOKE_ITEMS if smoke else None
        ),
        "starter": lambda directory, _: _starter(
            directory, data, SMOKE_ITEMS if smoke else EXAM_ITEMS_PER_SKILL
        ),
    }
    if suite not in suites:
        raise InputError(
            f"--suite {suite}: there is no such suite.",
            remedy=f"Choose one of {', '.join(suites)}.",
            field="--suite",
            value=suite,
        )
    if data is None and suite != "starter":
        raise InputError(
            f"--suite {suite} needs data to measure on.",
            remedy="Give them with --data PATH.",
            field="--data",
        )
    began = time.perf_counter()
    figures = suites[suite](directory, data or Path())
    return figures | {"seconds": round(time.perf_counter() - began, 2)}


def _bits_per_byte(directory: Path, data: Path, reading: ReadOptions) -> Figures:
    model, tokenizer = model_directory.load(directory)
    texts = [row.text for row in read_texts(data, reading).rows]
    result = bits_per_byte(model, tokenizer, texts, model.config.context_length)
    return {
        "bits_per_byte": result.bits_per_byte,
        "nats_per_token": result.nats_per_token,
        "bytes": result.n_byte,
    }


def _blimp(directory: Path, data: Path) -> Figures:
    model, tokenizer = model_directory.load(directory)
    result = blimp(model, tokenizer, data)
    low, high = result.overall.interval
    return {
        "blimp": result.overall.value,
        "low": low,
        "high": high,
        "pairs": result.overall.n,
        "files": {name: share.value for name, share in result.by_file.items()},
    }


def _labels(directory: Path, data: Path, reading: ReadOptions) -> Figures:
    model, tokenizer = model_directory.load(directory, kind=Encoder)
    if not model.config.labels:
        words = ("train", "classify", "--from", directory, "--data", "FILE", "--out", "DIR")
        raise InputError(
            f"{directory}: this encoder has no labels.",
            remedy=f"Train labels: {command_line(*words)}",
            field="head",
            value=model.config.head,
        )
    texts = encode_labeled(
        read_labeled(data, reading), tokenizer, model.config.labels, model.config.context_length
    )
    batches = LabelBatches(texts, encoder_tokens_of(tokenizer), LabelBatchConfig(), 0, model.device)
    predicted = text_log_probs(model, batches).argmax(1)
    scores = label_scores(predicted, torch.tensor(texts.labels), len(texts.names))
    low, high = scores.accuracy.interval
    f1_low, f1_high = scores.macro_f1_interval
    return {
        "accuracy": scores.accuracy.value,
        "low": low,
        "high": high,
        "macro_f1": scores.macro_f1,
        "macro_f1_low": f1_low,
        "macro_f1_high": f1_high,
        "texts": len(texts),
        "f1": dict(zip(texts.names, scores.f1, strict=True)),
    }


def _analogies(directory: Path, data: Path) -> Figures:
    """Score analogies with the embedding matrix of any model, and report the coverage."""
    model, tokenizer = model_directory.load(directory, kind=Model)
    embedding: Any = model.get_submodule("embedding")
    result = analogies(embedding.weight, single_token_words(tokenizer), read_questions(data))
    if not result.overall.n:
        raise InputError(
            f"{data}: each of its {result.n_question:,} questions has a word that is not a single "
            f"token of {directory}.",
            remedy="Use a model whose tokens are words (recipe word-vectors), or other questions.",
            field="--data",
            value=str(data),
        )
    low, high = result.overall.interval
    return {
        "analogies": result.overall.value,
        "low": low,
        "high": high,
        "answered": result.overall.n,
        "questions": result.n_question,
        "coverage": result.coverage.value,
        "sections": {
            name: {"score": share.value, "answered": share.n}
            for name, share in result.by_section.items()
        },
    }


def _stop_rate(directory: Path, data: Path, reading: ReadOptions) -> Figures:
    rows = read_conversations(data, reading).rows
    prompts = [_first_question(row.messages) for row in rows[:MAX_STOP_RATE_PROMPTS]]
    replies = reply_greedily(*model_directory.load(directory), prompts)
    share = Share(sum(reply.stopped for reply in replies), len(replies))
    low, high = share.interval
    return {"stop_rate": share.value, "low": low, "high": high, "prompts": share.n}


def _first_question(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    first = next(i for i, message in enumerate(messages) if message.role == "user")
    return messages[: first + 1]


def _starter(directory: Path, corpus: Path | None, n_per_skill: int) -> Figures:
    """Score the replies to test questions on each skill that the starter corpus teaches.

    Beside each score is that of the lookup baseline, which repeats replies of the training data.
    Bits per byte are measured on new texts about the same facts. `corpus` is the folder of a corpus
    that a recipe wrote; None means the corpus with default settings.
    """
    settings = starter.CorpusSettings() if corpus is None else starter.read_settings(corpus)
    items = starter.exam_items(settings.size, settings.seed, n_per_skill)
    model, tokenizer = model_directory.load(directory)
    figures = score_exam(lambda prompts: reply_greedily(model, tokenizer, prompts), items)
    conversations = starter.training_conversations(
        settings.size, settings.seed, settings.n_conversations
    )
    lookup = Lookup(conversations)
    baseline = score_exam(
        lambda prompts: [Reply(lookup.reply(prompt)) for prompt in prompts], items
    )
    for skill, entry in figures["skills"].items():
        entry["lookup"] = baseline["skills"][skill]["score"]
    texts = starter.heldout_documents(settings.size, settings.seed, 300 * n_per_skill)
    result = bits_per_byte(model, tokenizer, texts, model.config.context_length)
    return figures | {"bits_per_byte": result.bits_per_byte}


def reply_greedily(
    model: GPT, tokenizer: Tokenizer, prompts: Sequence[Sequence[Message]]
) -> list[Reply]:
    """Generate a reply to each conversation by greedy decoding, all in one engine."""
    config = EngineConfig(n_slot=32, max_waiting=len(prompts) + 1, max_waiting_tokens=2**40)
    max_tokens = min(MAX_REPLY_TOKENS, model.config.context_length // 2)
    with Engine(model, config) as engine:
        sampling = SamplingConfig(temperature=0.0, max_tokens=max_tokens)
        finished = Assistant(engine, tokenizer).replies(prompts, sampling)
    return [Reply(reply.message, reply.ended_by_itself) for reply in finished]
