"""Translation runs that take a second: number words, translated in reversed order."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import torch

from chatwright.data.encoded.pairs import encode_pairs
from chatwright.data.rows import Location, SentencePair
from chatwright.devices import generator
from chatwright.model.encoder_decoder import EncoderDecoder, init_weights
from chatwright.model.encoder_decoder_config import EncoderDecoderConfig
from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.training.batches.pairs import PairBatchConfig, PairBatches
from chatwright.training.loop import train
from chatwright.training.loop_config import LoopConfig
from chatwright.training.stages.translation import Translation
from chatwright.training.watcher import Watcher

CPU = torch.device("cpu")
WORDS = {"un": "one", "deux": "two", "trois": "three", "quatre": "four", "cinq": "five"}
SOURCES = [words for n in (1, 2, 3) for words in product(WORDS, repeat=n)]
PAIRS = [
    SentencePair(
        source=" ".join(words),
        target=" ".join(WORDS[word] for word in reversed(words)),
        location=Location("toy", i),
    )
    for i, words in enumerate(SOURCES)
]
TOKENIZER = ByteBPE.train([text for pair in PAIRS for text in (pair.source, pair.target)], 300, " ")
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
BATCHES = PairBatchConfig(tokens=64, accumulate=2)


def small_model(**changes: Any) -> EncoderDecoder:
    shape = {
        "context_length": 16,
        "n_encoder_layer": 1,
        "n_decoder_layer": 1,
        "n_head": 2,
        "head_dim": 16,
        "d_model": 32,
        "d_ff": 64,
        "norm_first": True,
    }
    config = EncoderDecoderConfig(vocab_size=TOKENIZER.vocab_size, **(shape | changes))
    model = EncoderDecoder(config)
    init_weights(model, generator(1, "weights"))
    return model


def translation_stage(
    batches: PairBatchConfig = BATCHES,
    pairs: list[SentencePair] = PAIRS,
    smoothing: float = 0.1,
    seed: int = 1,
) -> Translation:
    training = encode_pairs(pairs, TOKENIZER, 16)
    validation = encode_pairs(PAIRS[::7], TOKENIZER, 16)
    pad = TOKENIZER.control.pad
    return Translation(
        PairBatches(training, pad, batches, seed, CPU),
        PairBatches(validation, pad, replace(batches, accumulate=1), seed, CPU),
        torch.float32,
        smoothing,
    )


def run(
    out: Path,
    loop: LoopConfig = LOOP,
    model: EncoderDecoder | None = None,
    stage: Translation | None = None,
    watcher: Watcher = Watcher(),
) -> Path:
    """Train and return the directory of the finished model."""
    model = model or small_model()
    return train(out, model, stage or translation_stage(), TOKENIZER, loop, watcher)
