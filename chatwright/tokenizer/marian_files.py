"""Read MarianMT's tokenizer: one SentencePiece model per language and a shared vocab.json.

vocab.json gives the pieces of both languages their ids. A piece that is missing in vocab.json is
unknown to the translation model, although SentencePiece uses it. A piece that only the other
language's SentencePiece model has can be decoded, but no text of this language is encoded to it.

`transformers` also replaces quotes and dashes if the sacremoses package is installed. Chatwright
does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chatwright.errors import InputError
from chatwright.tokenizer import sentencepiece_document, sentencepiece_file
from chatwright.tokenizer.sentencepiece_file import CONTROL, UNIGRAM, UNKNOWN, SentencePieceModel

TARGET_LANGUAGE = re.compile(">>.+<<")  # ">>fra<< A cat."
SPECIAL_TOKENS = {"eos": "</s>", "unk": "<unk>", "pad": "<pad>"}


@dataclass(frozen=True)
class MarianLanguage:
    """The tokenizer of one language."""

    model: SentencePieceModel
    document: dict[str, Any]  # tokenizer.json; ids from n_token on: pieces that vocab.json lacks
    n_token: int  # size of vocab.json, which is the translation model's vocabulary
    unreachable: frozenset[str]  # pieces of the other language, which no text is encoded to


def read_language(vocab: dict[str, int], data: bytes) -> MarianLanguage:
    """Combine vocab.json with one language's SentencePiece model (the bytes of its file).

    Raises InputError if the files do not fit together.
    """
    model = sentencepiece_file.read(data)
    if model.model_type != UNIGRAM:
        raise InputError(
            "MarianMT uses SentencePiece models of the Unigram algorithm, and this is a BPE model.",
            remedy="Download source.spm and target.spm again.",
            field="source.spm",
        )
    _require_complete(vocab)
    scores = {
        piece.text: piece.score for piece in model.pieces if piece.type not in (CONTROL, UNKNOWN)
    }
    lowest = min(scores.values(), default=0.0)
    in_vocab = sorted(vocab, key=vocab.__getitem__)
    without_id = [text for text in scores if text not in vocab]
    document = sentencepiece_document.to_document(model)
    document["model"] |= {
        "unk_id": vocab["<unk>"],
        "vocab": [[text, scores.get(text, lowest)] for text in [*in_vocab, *without_id]],
    }
    document["added_tokens"] = [
        _special_token(content, vocab[content]) for content in SPECIAL_TOKENS.values()
    ]
    unreachable = frozenset(text for text in in_vocab if text not in scores and text != "<unk>")
    return MarianLanguage(model, document, len(vocab), unreachable)


def _require_complete(vocab: dict[str, int]) -> None:
    """Raise InputError unless the ids are 0 to n - 1 and the special tokens are among them."""
    are_ids = all(type(token_id) is int for token_id in vocab.values())
    are_contiguous = are_ids and sorted(vocab.values()) == list(range(len(vocab)))
    if not are_contiguous or not all(token in vocab for token in SPECIAL_TOKENS.values()):
        raise InputError(
            f"vocab.json must number its {len(vocab)} tokens from 0 to {len(vocab) - 1} and "
            f"contain {', '.join(SPECIAL_TOKENS.values())}.",
            remedy="Download it again.",
            field="vocab.json",
        )


def _special_token(content: str, token_id: int) -> dict[str, Any]:
    return {
        "content": content,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
        "id": token_id,
    }


def split_language(text: str, ids: Mapping[str, int], unknown: int) -> tuple[list[int], str]:
    """Split ">>fra<< A cat." into the language token's id and the rest.

    Models with several target languages read the language token first.
    """
    match = TARGET_LANGUAGE.match(text)
    if match is None:
        return [], text
    return [ids.get(match.group(), unknown)], text[match.end() :]
