"""The SentencePiece tokenizers of GGUF files: BPE (llama) and Unigram (t5).

The file holds SentencePiece's pieces: a text, a score and a type. The type numbers are the same.
"""

from __future__ import annotations

from dataclasses import replace

from chatwright.tokenizer import (
    gguf_bpe,
    sentencepiece_document,
    sentencepiece_file,
    sentencepiece_normalizer,
)
from chatwright.tokenizer.gguf_fields import (
    BYTE,
    CONTROL,
    NORMAL,
    TOKENS,
    UNDEFINED,
    GgufVocabulary,
    malformed,
)
from chatwright.tokenizer.gguf_special_tokens import document_parts
from chatwright.tokenizer.sentencepiece_file import Piece, SentencePieceModel
from chatwright.tokenizer.tokenizer_json import Document

# Splitting every token at every place, to find merges, takes time in proportion to the sum of
# squared lengths. Gemma's 262,144 tokens need 2**24.
MAX_SPLIT_WORK = 2**28


def bpe(vocabulary: GgufVocabulary) -> Document:
    """Return tokenizer.json of SentencePiece's BPE. Raises InputError if it is malformed.

    Merges are found from the scores, unless the file lists them.
    """
    if sum(len(token) ** 2 for token in vocabulary.tokens) > MAX_SPLIT_WORK:
        raise malformed(TOKENS, "holds too many long tokens")
    vocabulary = gguf_bpe.with_escaped_spaces(vocabulary)
    rows = zip(vocabulary.tokens, vocabulary.scores, vocabulary.types, strict=True)
    pieces = [Piece(token, float(score), kind) for token, score, kind in rows]
    document = _document(vocabulary, pieces, sentencepiece_file.BPE)
    model = document["model"]
    model["vocab"] = {token: i for token, i in model["vocab"].items() if not vocabulary.is_gap(i)}
    if vocabulary.merges is None:
        model["merges"] = [pair for pair in model["merges"] if "".join(pair) in model["vocab"]]
    else:
        model["merges"] = gguf_bpe.merge_pairs(vocabulary.merges, model["vocab"])
    adds_bos = vocabulary.flags.get("add_bos_token", True)
    adds_eos = vocabulary.flags.get("add_eos_token", False)
    parts = document_parts(vocabulary, "bos" if adds_bos else "", "eos" if adds_eos else "")
    return document | parts


def unigram(vocabulary: GgufVocabulary) -> Document:
    """Return tokenizer.json of SentencePiece's Unigram. Raises InputError if it is malformed.

    The library derives the score of unknown characters from the lowest score of all. The scores of
    special tokens must not change it; no text is split into them.
    """
    vocabulary = _without_gaps(vocabulary)
    rows = zip(vocabulary.tokens, vocabulary.scores, vocabulary.types, strict=True)
    pieces = [
        Piece(token, float(score) if kind in (UNDEFINED, NORMAL, BYTE) else 0.0, kind)
        for token, score, kind in rows
    ]
    document = _document(vocabulary, pieces, sentencepiece_file.UNIGRAM)
    document["model"]["unk_id"] = vocabulary.ids.get("unk")
    if document["pre_tokenizer"] is not None:  # as published for T5: any white space ends a word
        steps = [{"type": "WhitespaceSplit"}, document["pre_tokenizer"]]
        document["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps}
    adds_bos = vocabulary.flags.get("add_bos_token", False)
    adds_eos = vocabulary.flags.get("add_eos_token", True)
    parts = document_parts(vocabulary, "bos" if adds_bos else "", "eos" if adds_eos else "")
    return document | parts


def _document(vocabulary: GgufVocabulary, pieces: list[Piece], model_type: int) -> Document:
    if vocabulary.charsmap:
        sentencepiece_normalizer.from_charsmap(vocabulary.charsmap)  # raises if it is damaged
    model = SentencePieceModel(
        tuple(pieces),
        model_type,
        byte_fallback=BYTE in vocabulary.types,
        precompiled_charsmap=vocabulary.charsmap,
        add_dummy_prefix=vocabulary.flags.get("add_space_prefix", True),
        remove_extra_whitespaces=vocabulary.flags.get("remove_extra_whitespaces", False),
    )
    return sentencepiece_document.to_document(model)


def _without_gaps(vocabulary: GgufVocabulary) -> GgufVocabulary:
    """Cut off the ids without a token at the end, and make the others special tokens.

    They cannot be left out: an id is a place in Unigram's list of pieces.
    """
    n = len(vocabulary.tokens)
    while n and vocabulary.is_gap(n - 1):
        n -= 1
    return replace(
        vocabulary,
        tokens=vocabulary.tokens[:n],
        types=[CONTROL if vocabulary.is_gap(i) else vocabulary.types[i] for i in range(n)],
        scores=vocabulary.scores[:n],
    )
