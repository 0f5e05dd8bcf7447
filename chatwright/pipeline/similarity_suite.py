"""Measure vectors: the suites "similarity" and "retrieval" of `chatwright eval`.

Vectors of an encoder come from whole texts. Those of other models are rows of the embedding matrix,
so only words that are one token have one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from chatwright.checkpoint import model_directory
from chatwright.data.encoded.text_pairs import encode_text_pairs
from chatwright.data.readers.data_source import ReadOptions
from chatwright.data.readers.files import find_files
from chatwright.data.readers.text_pairs import FORMATS, read_scored_pairs, read_text_pairs
from chatwright.data.rows import ScoredPair
from chatwright.engine.embedding_forward import EmbeddingForward
from chatwright.errors import InputError
from chatwright.evaluation.correlation import spearman
from chatwright.evaluation.retrieval import retrieve_pairs
from chatwright.model.encoder import Encoder
from chatwright.model.model import Model
from chatwright.tasks.embed import Embedder
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.tokenizer.word_lookup import single_token_id

K_NEAREST = 10


def evaluate_similarity(directory: Path, data: Path, reading: ReadOptions) -> dict[str, Any]:
    """Return Spearman's correlation of cosines with the scores of pairs.

    The lists of a folder are scored one by one, because their scales differ.
    """
    model, tokenizer = model_directory.load(directory, kind=Model)
    if not data.is_dir():
        return _score(model, tokenizer, read_scored_pairs(data, reading), data)
    files, _ = find_files(data, FORMATS)
    lists = {file: read_scored_pairs(file, reading) for file in files}
    return {
        "lists": {file.name: _score(model, tokenizer, pairs, file) for file, pairs in lists.items()}
    }


def _score(
    model: Model, tokenizer: Tokenizer, pairs: Sequence[ScoredPair], data: Path
) -> dict[str, Any]:
    texts = list(dict.fromkeys(text for pair in pairs for text in (pair.first, pair.second)))
    vectors = _vectors(model, tokenizer, texts)
    known = [pair for pair in pairs if pair.first in vectors and pair.second in vectors]
    if not known:
        raise InputError(
            f"{data}: each of its {len(pairs):,} pairs has a text that is not a single token.",
            remedy="Use an encoder, or a model whose tokens are words (recipe word-vectors).",
            field="--data",
            value=str(data),
        )
    cosines = [
        float(F.cosine_similarity(vectors[pair.first], vectors[pair.second], dim=0))
        for pair in known
    ]
    correlation = spearman(cosines, [pair.score for pair in known])
    low, high = correlation.interval
    return {
        "spearman": correlation.value,
        "low": low,
        "high": high,
        "pairs": correlation.n,
        "coverage": len(known) / len(pairs),
    }


def _vectors(model: Model, tokenizer: Tokenizer, texts: Sequence[str]) -> dict[str, Tensor]:
    """Return the vectors of the texts that have one."""
    if isinstance(model, Encoder):
        with EmbeddingForward(model) as forward:
            found = Embedder(forward, tokenizer).embed(texts)
        return {text.text: text.vector for text in found}
    embedding: Any = model.get_submodule("embedding")
    ids = {text: single_token_id(tokenizer, text) for text in texts}
    matrix = embedding.weight.detach().float().cpu()
    return {text: matrix[token_id] for text, token_id in ids.items() if token_id is not None}


def evaluate_retrieval(directory: Path, data: Path, reading: ReadOptions) -> dict[str, Any]:
    """Return how often the positive of an anchor is the nearest of all positives and negatives."""
    model, tokenizer = model_directory.load(directory, kind=Encoder)
    pairs = encode_text_pairs(read_text_pairs(data, reading), tokenizer, model.config.text_length)
    with EmbeddingForward(model) as forward:
        vectors = forward.vectors(pairs.texts.token_ids)
    found = retrieve_pairs(pairs, vectors)
    low, high = found.recall(1).interval
    k_low, k_high = found.recall(K_NEAREST).interval
    return {
        "recall_at_1": found.recall(1).value,
        "low": low,
        "high": high,
        f"recall_at_{K_NEAREST}": found.recall(K_NEAREST).value,
        f"recall_at_{K_NEAREST}_low": k_low,
        f"recall_at_{K_NEAREST}_high": k_high,
        "mean_reciprocal_rank": found.mean_reciprocal_rank,
        "queries": len(found.ranks),
        "candidates": found.n_candidate,
    }
