"""Encoder runs small enough to stop, resume and repeat: masked tokens and labels of a toy language."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from chatwright.data.encoded_labels import EncodedLabels, encode_labeled
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
# The last word says whether the things named are alive, whatever stands between.
TEXTS = [
    f"the {a} and the {b} are {kind}"
    for kind, things in (("alive", ("cat", "dog", "bird")), ("made", ("log", "mat", "cup")))
    for a in things
    for b in things
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


def tokenizer() -> ImportedTokenizer:
    return wordpiece.train(TEXTS, 90)


def model(**changes: Any) -> Encoder:
    small = {
        "vocab_size": tokenizer().vocab_size,
        "context_length": 24,
        "n_layer": 1,
        "dropout": 0.1,
        "ngrams": (2,),
        "ngram_rows": 64,
    }
    made = Encoder(encoder_preset("nano", **(small | changes)))
    init_weights(made, generator(1, "weights"))
    return made


def classifier(**changes: Any) -> Encoder:
    return model(head="labels", labels=("alive", "made"), **changes)


def masked_stage(seed: int = 1, rate: float = 0.3) -> MaskedLM:
    words = tokenizer()
    framed = [
        Rendered(
            [*words.encoder_tokens.with_special_tokens(ids), words.encoder_tokens.sep],
            [True] * (len(ids) + 3),
        )
        for ids in words.encode_batch(TEXTS)
    ]
    batches = [
        PackedBatches(
            framed,
            words.encoder_tokens.pad,
            BatchConfig(rows=4, accumulate=2, context_length=24),
            24,
            seed,
            CPU,
        )
        for _ in range(2)
    ]
    return MaskedLM(
        *batches,
        Masking(rate, words.encoder_tokens.mask, words.control.all(), words.vocab_size, seed),
        torch.float32,
    )


def encoded(max_length: int = 24) -> EncodedLabels:
    return encode_labeled(LABELED, tokenizer(), ("alive", "made"), max_length)


def label_stage(
    seed: int = 1, max_length: int = 24, has_fresh_head: bool = True, **changes: Any
) -> Classification:
    config = LabelBatchConfig(**({"rows": 6, "accumulate": 2, "token_dropout": 0.1} | changes))
    batches = [
        LabelBatches(encoded(max_length), tokenizer().encoder_tokens, config, seed, CPU)
        for _ in range(2)
    ]
    return Classification(*batches, torch.float32, has_fresh_head)


def run(
    out: Path,
    stage: Any,
    made: Encoder,
    parent: Path | None = None,
    watcher: Watcher = Watcher(),
    **changes: Any,
) -> Path:
    return train(out, made, stage, tokenizer(), replace(LOOP, **changes), watcher, parent)
