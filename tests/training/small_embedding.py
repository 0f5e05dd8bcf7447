"""Contrastive runs that take seconds: lists of words and their translation into an invented tongue.

No word of an anchor is in its positive, so an untrained model cannot tell which texts belong
together, and a trained one can for lists that it has never seen.
"""

from itertools import combinations
from typing import Any

import torch

from chatwright.data.encoded.text_pairs import (
    EncodedScoredPairs,
    EncodedTextPairs,
    encode_scored_pairs,
    encode_text_pairs,
)
from chatwright.data.rows import Location, ScoredPair, TextPair
from chatwright.devices import generator
from chatwright.model.encoder import Encoder, init_weights
from chatwright.model.encoder_presets import encoder_preset
from chatwright.tokenizer import wordpiece
from chatwright.tokenizer.imported import ImportedTokenizer
from chatwright.training.batches.text_pairs import TextPairBatchConfig, TextPairBatches
from chatwright.training.stages.embedding import ContrastiveEmbedding

CPU = torch.device("cpu")
TOY = Location("toy")
WORDS = {
    "cat": "neko",
    "dog": "inu",
    "bird": "tori",
    "fish": "sakana",
    "horse": "uma",
    "cow": "ushi",
    "bear": "kuma",
    "frog": "kaeru",
}
PAIRS = [
    TextPair(f"the {a}, the {b} and the {c}", f"{WORDS[a]} to {WORDS[b]} to {WORDS[c]}", TOY)
    for a, b, c in combinations(WORDS, 3)
]
TRAINED = [pair for i, pair in enumerate(PAIRS) if i % 4]
HELD_OUT = PAIRS[::4]
SCORED = [
    ScoredPair(pair.anchor, other.positive, float(pair is other), TOY)
    for pair in HELD_OUT[:6]
    for other in HELD_OUT[:6]
]


def tokenizer() -> ImportedTokenizer:
    texts = [text for pair in PAIRS for text in (pair.anchor, pair.positive)]
    return wordpiece.train(texts, 120)


def small_model(**changes: Any) -> Encoder:
    """Return an untrained encoder without a head."""
    shape = {
        "vocab_size": tokenizer().vocab_size,
        "context_length": 24,
        "n_layer": 1,
        "dropout": 0.1,
        "head": "none",
    }
    model = Encoder(encoder_preset("nano", **(shape | changes)))
    init_weights(model, generator(1, "weights"))
    return model


def encoded(pairs: list[TextPair], max_length: int = 24) -> EncodedTextPairs:
    return encode_text_pairs(pairs, tokenizer(), max_length)


def scored() -> EncodedScoredPairs:
    return encode_scored_pairs(SCORED, tokenizer(), 24)


def batches(pairs: list[TextPair], rows: int = 8, seed: int = 1) -> TextPairBatches:
    config = TextPairBatchConfig(rows=rows)
    return TextPairBatches(encoded(pairs), tokenizer().encoder_tokens.pad, config, seed, CPU)


def embedding_stage(
    rows: int = 8, temperature: float = 0.1, pairs: list[TextPair] = TRAINED
) -> ContrastiveEmbedding:
    return ContrastiveEmbedding(
        batches(pairs, rows), batches(HELD_OUT, rows), torch.float32, temperature, scored()
    )
