"""Convert a SentencePiece model to tokenizer.json, which the `tokenizers` library reads.

The library then gives nearly the ids of SentencePiece. To get exactly its ids, normalize texts
with `sentencepiece_file.normalizer` and skip the document's own normalizer and pre-tokenizer.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from chatwright.tokenizer.sentencepiece_file import (
    CONTROL,
    UNIGRAM,
    UNKNOWN,
    USER_DEFINED,
    Piece,
    SentencePieceModel,
)
from chatwright.tokenizer.token_bytes import WORD_START


def to_document(model: SentencePieceModel) -> dict[str, Any]:
    """Return tokenizer.json with the same pieces in the same order."""
    document: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added_tokens(model),
        "post_processor": None,
        **_text_steps(model),
    }
    is_unigram = model.model_type == UNIGRAM
    document["model"] = _unigram_model(model) if is_unigram else _bpe_model(model)
    return document


def _added_tokens(model: SentencePieceModel) -> list[dict[str, Any]]:
    return [
        {
            "id": i,
            "content": piece.text,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": piece.type != USER_DEFINED,
        }
        for i, piece in enumerate(model.pieces)
        if piece.type in (UNKNOWN, CONTROL, USER_DEFINED)
    ]


def _unknown_id(model: SentencePieceModel) -> int | None:
    return next((i for i, piece in enumerate(model.pieces) if piece.type == UNKNOWN), None)


def _unigram_model(model: SentencePieceModel) -> dict[str, Any]:
    return {
        "type": "Unigram",
        "unk_id": _unknown_id(model),
        "vocab": [[piece.text, piece.score] for piece in model.pieces],
        "byte_fallback": model.byte_fallback,
    }


def _bpe_model(model: SentencePieceModel) -> dict[str, Any]:
    unknown = _unknown_id(model)
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": None if unknown is None else model.pieces[unknown].text,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": True,
        "byte_fallback": model.byte_fallback,
        "ignore_merges": False,
        "vocab": {piece.text: i for i, piece in enumerate(model.pieces)},
        "merges": _merges(model.pieces),
    }


def _merges(pieces: Sequence[Piece]) -> list[list[str]]:
    """Return the merges in the order in which BPE applies them.

    SentencePiece stores no merges. Any two pieces whose concatenation is a piece may be merged;
    the pair that gives the highest score is merged first.
    """
    ids = {piece.text: i for i, piece in enumerate(pieces)}
    merges = []
    for piece in pieces:
        splits = [(piece.text[:i], piece.text[i:]) for i in range(1, len(piece.text))]
        pairs = sorted(
            (ids[left], ids[right]) for left, right in splits if left in ids and right in ids
        )
        merges += [(piece.score, left, right) for left, right in pairs]
    merges.sort(key=lambda merge: -merge[0])
    return [[pieces[left].text, pieces[right].text] for _, left, right in merges]


def _text_steps(model: SentencePieceModel) -> dict[str, Any]:
    """Return the steps between a text and the model: normalizer, pre-tokenizer and decoder."""
    if model.remove_extra_whitespaces:
        return _steps_removing_spaces(model)
    return _steps_keeping_spaces(model)


def _steps_removing_spaces(model: SentencePieceModel) -> dict[str, Any]:
    remove_spaces: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}
        for pattern, content in ((" {2,}", " "), (r"\A | \z", ""))
    ]
    # SentencePiece's BPE treats a whole text as one word. Its Unigram pieces never cross a space.
    metaspace = {
        "type": "Metaspace",
        "replacement": WORD_START,
        "prepend_scheme": "always" if model.add_dummy_prefix else "never",
        "split": model.model_type == UNIGRAM,
    }
    return {
        "normalizer": {
            "type": "Sequence",
            "normalizers": [*_character_steps(model), *remove_spaces],
        },
        "pre_tokenizer": metaspace,
        "decoder": metaspace,
    }


def _steps_keeping_spaces(model: SentencePieceModel) -> dict[str, Any]:
    # "Prepend" and not Metaspace's prefix: Metaspace adds none before a text that begins with a
    # space, but SentencePiece does.
    normalizers = _character_steps(model)
    if model.add_dummy_prefix:
        normalizers.append({"type": "Prepend", "prepend": WORD_START})
    normalizers.append({"type": "Replace", "pattern": {"String": " "}, "content": WORD_START})
    decoders: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": WORD_START}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if model.add_dummy_prefix:
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": None,
        "decoder": {"type": "Sequence", "decoders": decoders},
    }


def _character_steps(model: SentencePieceModel) -> list[dict[str, Any]]:
    """Return the normalizer for `precompiled_charsmap`, if the model has one."""
    if not model.precompiled_charsmap:
        return []
    charsmap = base64.b64encode(model.precompiled_charsmap).decode()
    return [{"type": "Precompiled", "precompiled_charsmap": charsmap}]
