"""Measure a model by name of a suite: what `chatwright eval` calls."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from chatwright import starter
from chatwright.chat.assistant import Assistant
from chatwright.checkpoint import model_directory
from chatwright.commands import command_line
from chatwright.conversation import Message
from chatwright.data.encoded_conversations import read_conversations
from chatwright.data.encoded_corpus import read_texts
from chatwright.data.encoded_labels import encode_labelled
from chatwright.data.labelled import read_labelled
from chatwright.data.sentence_pairs import read_pairs
from chatwright.engine.beam_search import BeamConfig
from chatwright.engine.encoder_decoder_forward import EncoderDecoderForward
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.sampling import SamplingConfig
from chatwright.evaluation.analogies import analogies, read_questions
from chatwright.evaluation.bits_per_byte import bits_per_byte
from chatwright.evaluation.bleu import bleu, tokenised_lowercase
from chatwright.evaluation.blimp import blimp
from chatwright.evaluation.classification import label_scores
from chatwright.evaluation.interval import Share
from chatwright.evaluation.lookup import Lookup
from chatwright.evaluation.starter import Reply, score_exam
from chatwright.model.encoder import Encoder
from chatwright.model.encoder_decoder import EncoderDecoder
from chatwright.model.gpt import GPT
from chatwright.model.model import Model
from chatwright.tasks.translate import Translator
from chatwright.tokenizer.tokenizer import Tokenizer, encoder_tokens_of
from chatwright.tokenizer.word_lookup import single_token_words
from chatwright.training.batches.labels import LabelBatchConfig, LabelBatches
from chatwright.training.stages.classification import text_log_probs

STOP_PROMPTS = 200
REPLY_TOKENS = 200


@dataclass(frozen=True, kw_only=True)
class TranslationSettings:
    """How translations are made and compared, beside the texts given as data."""

    references: Path | None = (
        None  # line n translates line n of the data; without it the data hold both sides
    )
    language: str = ""  # of the references, for the literature's tokenised BLEU
    beam: BeamConfig = field(default_factory=BeamConfig)


def evaluate(
    directory: Path,
    suite: str,
    data: Path | None,
    smoke: bool = False,
    translation: TranslationSettings = TranslationSettings(),
) -> dict[str, Any]:
    """Figures of the model at `directory`. Raises ValueError where the suite is unknown or its data missing."""
    suites: dict[str, Callable[[Path, Path], dict[str, Any]]] = {
        "bits-per-byte": _bits_per_byte,
        "blimp": _blimp,
        "stop-rate": _stop_rate,
        "analogies": _analogies,
        "labels": _labels,
        "translation": lambda directory, data: _translation(
            directory, data, translation, 5 if smoke else None
        ),
        "starter": lambda directory, _: _starter(directory, data, 5 if smoke else 300),
    }
    if suite not in suites:
        raise ValueError(f"--suite {suite}: no such suite. Choose one of {', '.join(suites)}.")
    if data is None and suite != "starter":
        raise ValueError(
            f"--suite {suite} needs --data PATH: a text, BLiMP.zip, conversations, labelled texts, sentences or analogies."
        )
    began = time.perf_counter()
    figures = suites[suite](directory, data or Path())
    return figures | {"seconds": round(time.perf_counter() - began, 2)}


def _bits_per_byte(directory: Path, data: Path) -> dict[str, Any]:
    model, tokenizer = model_directory.load(directory)
    texts = [row.text for row in read_texts(data).rows]
    result = bits_per_byte(model, tokenizer, texts, model.config.context_length)
    return {
        "bits_per_byte": result.bits_per_byte,
        "nats_per_token": result.nats_per_token,
        "bytes": result.n_byte,
    }


def _blimp(directory: Path, data: Path) -> dict[str, Any]:
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


def _labels(directory: Path, data: Path) -> dict[str, Any]:
    model, tokenizer = model_directory.load(directory, kind=Encoder)
    if not model.config.labels:
        raise ValueError(
            f"{directory}: this encoder has not learned any labels. Teach it some: "
            f"{command_line('train', 'classify', '--from', directory, '--data', 'FILE', '--out', 'DIR')}"
        )
    texts = encode_labelled(
        read_labelled(data), tokenizer, model.config.labels, model.config.context_length
    )
    batches = LabelBatches(texts, encoder_tokens_of(tokenizer), LabelBatchConfig(), 0, model.device)
    scores = label_scores(
        text_log_probs(model, batches).argmax(1), torch.tensor(texts.labels), len(texts.names)
    )
    (low, high), (f1_low, f1_high) = scores.accuracy.interval, scores.macro_f1_interval
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


def _analogies(directory: Path, data: Path) -> dict[str, Any]:
    """On the embedding matrix of any model; how many of the questions its vocabulary can be asked stands beside the score."""
    model, tokenizer = model_directory.load(directory, kind=Model)
    embedding: Any = model.get_submodule("embedding")
    result = analogies(embedding.weight, single_token_words(tokenizer), read_questions(data))
    if not result.overall.n:
        raise ValueError(
            f"{data}: none of its {result.n_question:,} questions can be asked: each has a word that is no token of {directory}. "
            "Take a model with whole words (recipes/word-vectors.toml), or other questions."
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


def _stop_rate(directory: Path, data: Path) -> dict[str, Any]:
    rows = read_conversations(data).rows
    prompts = [_first_question(row.messages) for row in rows[:STOP_PROMPTS]]
    replies = reply_greedily(*model_directory.load(directory), prompts)
    share = Share(sum(reply.stopped for reply in replies), len(replies))
    low, high = share.interval
    return {"stop_rate": share.value, "low": low, "high": high, "prompts": share.n}


def _translation(
    directory: Path, data: Path, settings: TranslationSettings, n_pair: int | None
) -> dict[str, Any]:
    """BLEU as sacrebleu states it and, where the language is given, as the literature on Multi30k does."""
    pairs = read_pairs(data, settings.references)[:n_pair]
    model, tokenizer = model_directory.load(directory, kind=EncoderDecoder)
    with EncoderDecoderForward(model) as forward:
        found = Translator(forward, tokenizer).translate(
            [pair.source for pair in pairs], settings.beam
        )
    translations, references = [best.text for best, *_ in found], [pair.target for pair in pairs]
    cased = bleu(translations, references)
    figures: dict[str, Any] = {
        "bleu": cased.bleu,
        "signature": cased.signature,
        "sentences": len(pairs),
        "beam": settings.beam.width,
        "cut_off": sum(not best.ended for best, *_ in found),
    }
    if settings.language:
        lower = tokenised_lowercase(translations, references, settings.language)
        figures |= {
            "tokenised_lowercase_bleu": lower.bleu,
            "tokenised_lowercase_signature": lower.signature,
        }
    return figures


def _first_question(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    first = next(i for i, message in enumerate(messages) if message.role == "user")
    return messages[: first + 1]


def _starter(directory: Path, corpus: Path | None, n_per_skill: int) -> dict[str, Any]:
    """Score every skill of the starter's exam, beside the lookup baseline and bits per byte.

    Bits per byte are measured on texts about the same facts that are not in the training data.
    `corpus` is the folder that a recipe wrote its corpus into; None means the corpus as it ships.
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


def reply_greedily(model: GPT, tokenizer: Tokenizer, prompts: Any) -> list[Reply]:
    with Engine(
        model, EngineConfig(n_slot=32, max_waiting=len(prompts) + 1, max_waiting_tokens=2**40)
    ) as engine:
        sampling = SamplingConfig(
            temperature=0.0, max_tokens=min(REPLY_TOKENS, model.config.context_length // 2)
        )
        finished = Assistant(engine, tokenizer).replies(prompts, sampling)
    return [Reply(reply.message, reply.ended_by_itself) for reply in finished]
