"""Encoder runs that take a second: masked tokens and labels of a toy language."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from chatwright.data.encoded.labels import EncodedLabels, encode_labeled
from chatwright.data.rows import LabeledText, Location
from chatwright.devices import generator
from chatwright.model.encoder import Encoder, init_weights
from chatwright.model.encoder_presets import encoder_preset
from chatwright.tokenizer import wordpiece
from chatwright.tokenizer.chat_template import Rendered
from chatwright.tokenizer.imported import ImportedTokenizer
from chatwright.training.batches.labels import LabelBatchConfig, LabelBatches
from chatwright.training.batches.packed import PackedBatches
from chatwright.training.loop import train
from chatwright.training.loop_config import LoopConfig
from chatwright.training.stage import BatchConfig
from chatwright.training.stages.classification import Classification
from chatwright.training.stages.masked_lm import MaskedLM, Masking
from chatwright.training.watcher import Watcher

CPU = torch.device("cpu")
LABELS = ("alive", "made")
THINGS = {"alive": ("cat", "dog", "bird"), "made": ("log", "mat", "cup")}
# "the cat and the dog are alive": the last word is the label.
TEXTS = [
    f"the {first} and the {second} are {label}"
    for label, things in THINGS.items()
    for first in things
    for second in things
]
LABELED = [
    LabeledText(text.rsplit(" ", 2)[0], text.rsplit(" ", 1)[1], Location("toy")) for text in TEXTS
]
LOOP = LoopConfig(
    steps=12,
    warmup=2,
    log_every=1,
    evaluate_every=5,
    save_every=4,
    precision="float32",
    device="cpu",
    average_decay=0.9,
)


def wordpiece_tokenizer() -> ImportedTokenizer:
    return wordpiece.train(TEXTS, 90)


def small_model(**changes: Any) -> Encoder:
    """Return an untrained encoder with n-gram tables and dropout."""
    shape = {
        "vocab_size": wordpiece_tokenizer().vocab_size,
        "context_length": 24,
        "n_layer": 1,
        "dropout": 0.1,
        "ngrams": (2,),
        "ngram_rows": 64,
    }
    model = Encoder(encoder_preset("nano", **(shape | changes)))
    init_weights(model, generator(1, "weights"))
    return model


def small_classifier(**changes: Any) -> Encoder:
    return small_model(head="labels", labels=LABELS, **changes)


def masked_stage(seed: int = 1, rate: float = 0.3) -> MaskedLM:
    tokenizer = wordpiece_tokenizer()
    control = tokenizer.encoder_tokens
    # Packing uses the last token of a document only as a target. A second <sep> is appended, so
    # that no other token is lost.
    documents = [
        Rendered([*control.with_special_tokens(ids), control.sep], [True] * (len(ids) + 3))
        for ids in tokenizer.encode_batch(TEXTS)
    ]
    config = BatchConfig(rows=4, accumulate=2, context_length=24)
    return MaskedLM(
        PackedBatches(documents, control.pad, config, 24, seed, CPU),
        PackedBatches(documents, control.pad, config, 24, seed, CPU),
        Masking(rate, control.mask, tokenizer.control.all(), tokenizer.vocab_size, seed),
        torch.float32,
    )


def encoded_labels(max_length: int = 24) -> EncodedLabels:
    return encode_labeled(LABELED, wordpiece_tokenizer(), LABELS, max_length)


def label_stage(
    seed: int = 1, max_length: int = 24, has_fresh_head: bool = True, **changes: Any
) -> Classification:
    config = LabelBatchConfig(**({"rows": 6, "accumulate": 2, "token_dropout": 0.1} | changes))
    texts = encoded_labels(max_length)
    control = wordpiece_tokenizer().encoder_tokens
    return Classification(
        LabelBatches(texts, control, config, seed, CPU),
        LabelBatches(texts, control, config, seed, CPU),
        torch.float32,
        has_fresh_head,
    )


def run(
    out: Path,
    stage: Any,
    model: Encoder,
    parent: Path | None = None,
    watcher: Watcher = Watcher(),
    **changes: Any,
) -> Path:
    """Train and return the directory of the finished model; `changes` are loop settings."""
    loop = replace(LOOP, **changes)
    return train(out, model, stage, wordpiece_tokenizer(), loop, watcher, parent)
