"""A translation small enough to train many times: numbers in words, forwards in one language and backwards in the other."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import torch

from chatwright.data.encoded_pairs import encode_pairs
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
PAIRS = [
    SentencePair(
        " ".join(words), " ".join(WORDS[word] for word in reversed(words)), Location("made", i)
    )
    for i, words in enumerate(words for n in (1, 2, 3) for words in product(WORDS, repeat=n))
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


def model(**changes: object) -> EncoderDecoder:
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
    made = EncoderDecoder(
        EncoderDecoderConfig(vocab_size=TOKENIZER.vocab_size, **(shape | changes))
    )
    init_weights(made, generator(1, "weights"))
    return made


def stage(
    batches: PairBatchConfig = BATCHES,
    pairs: list[SentencePair] = PAIRS,
    smoothing: float = 0.1,
    seed: int = 1,
) -> Translation:
    made = [
        PairBatches(encode_pairs(some, TOKENIZER, 16), TOKENIZER.control.pad, config, seed, CPU)
        for some, config in ((pairs, batches), (PAIRS[::7], replace(batches, accumulate=1)))
    ]
    return Translation(*made, torch.float32, smoothing)


def run(
    out: Path,
    loop: LoopConfig = LOOP,
    made: EncoderDecoder | None = None,
    of: Translation | None = None,
    watcher: Watcher = Watcher(),
) -> Path:
    return train(out, made or model(), of or stage(), TOKENIZER, loop, watcher)
