"""The BPE tokenizers of GGUF files that list their merges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from chatwright.tokenizer import gguf_pre_tokenizer, hugging_face
from chatwright.tokenizer.gguf_fields import (
    MERGES,
    SPACE_BEFORE,
    USER_DEFINED,
    GgufVocabulary,
    malformed,
)
from chatwright.tokenizer.gguf_special_tokens import document_parts
from chatwright.tokenizer.token_bytes import WORD_START
from chatwright.tokenizer.tokenizer_json import Document


def byte_level(vocabulary: GgufVocabulary) -> Document:
    """Return tokenizer.json of a byte-level BPE. Raises InputError if it is malformed."""
    if vocabulary.pre is None:
        problem = "is missing, so the file does not say how texts are split"
        raise malformed(gguf_pre_tokenizer.FIELD, problem)
    pre_tokenizer = gguf_pre_tokenizer.named(vocabulary.pre)
    if pre_tokenizer.escapes_spaces:
        return spaced(vocabulary)
    normalizer = vocabulary.normalizer or pre_tokenizer.normalizer
    adds_bos = vocabulary.flags.get("add_bos_token", pre_tokenizer.add_bos)
    document = {
        **_parts_around(vocabulary, adds_bos),
        "normalizer": {"type": "NFC"} if normalizer == "NFC" else None,
        "pre_tokenizer": gguf_pre_tokenizer.document_part(pre_tokenizer.steps),
        "decoder": gguf_pre_tokenizer.LIBRARY_STEPS["words"],
        "model": _model(vocabulary) | {"ignore_merges": pre_tokenizer.ignore_merges},
    }
    has_space = normalizer == SPACE_BEFORE
    return hugging_face.with_space_before(document) if has_space else document


def spaced(vocabulary: GgufVocabulary) -> Document:
    """Return BPE over whole texts, with spaces as "▁" and bytes for unknown characters.

    Raises InputError if it is malformed.
    """
    vocabulary = with_escaped_spaces(vocabulary)
    unknown = vocabulary.tokens[vocabulary.ids["unk"]] if "unk" in vocabulary.ids else None
    changes = {"unk_token": unknown, "fuse_unk": True, "byte_fallback": True}
    is_gemma = vocabulary.model == "gemma4" and "bos" in vocabulary.ids
    steps: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": WORD_START}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    return {
        **_parts_around(vocabulary, vocabulary.flags.get("add_bos_token", is_gemma)),
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": WORD_START},
        "pre_tokenizer": None,
        "decoder": {"type": "Sequence", "decoders": steps},
        "model": _model(vocabulary) | changes,
    }


def with_escaped_spaces(vocabulary: GgufVocabulary) -> GgufVocabulary:
    """Write user-defined tokens of spaces with "▁", and give them the highest scores.

    Files hold user-defined tokens as they are found in a text: two spaces, not "▁▁". In the
    published tokenizers, tokens of spaces are merged like others, before others and in the order
    of their ids.
    """
    tokens, scores = list(vocabulary.tokens), list(vocabulary.scores)
    known = set(tokens)
    for i, token in enumerate(vocabulary.tokens):
        escaped = WORD_START * len(token)
        is_spaces = vocabulary.types[i] == USER_DEFINED and not token.strip(" ")
        if is_spaces and escaped not in known:
            tokens[i] = escaped
            scores[i] = float(len(tokens) - i)
    return replace(vocabulary, tokens=tokens, scores=scores)


def merge_pairs(merges: Sequence[str], vocab: Mapping[str, int]) -> list[list[str]]:
    """Split each "left right" into two tokens. `left` may begin with a space.

    Raises InputError if one of them, or their union, is not in the vocabulary.
    """
    pairs = []
    for i, text in enumerate(merges):
        space = text.find(" ", 1)
        left, right = text[:space], text[space + 1 :]
        if space < 0 or not (left in vocab and right in vocab and left + right in vocab):
            problem = "does not name two tokens whose union is a token"
            raise malformed(f"{MERGES}[{i}]", problem, text)
        pairs.append([left, right])
    return pairs


def _parts_around(vocabulary: GgufVocabulary, adds_bos: bool) -> Document:
    adds_eos = vocabulary.flags.get("add_eos_token", False)
    return document_parts(vocabulary, "bos" if adds_bos else "", "eos" if adds_eos else "")


def _model(vocabulary: GgufVocabulary) -> dict[str, Any]:
    if vocabulary.merges is None:
        raise malformed(MERGES, "is missing")
    vocab = {token: i for i, token in enumerate(vocabulary.tokens) if not vocabulary.is_gap(i)}
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": vocab,
        "merges": merge_pairs(vocabulary.merges, vocab),
    }
