"""MarianMT's tokenizer: two SentencePiece models, one for each language, and vocab.json, which gives both languages' pieces their ids.

A piece that vocab.json does not know is unknown to the model, though SentencePiece cuts texts by it; one that the other language's model alone
knows can be read, but no text of this language becomes it. `transformers` also makes quotes and dashes plain where the sacremoses package is
there; that is not done here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chatwright.tokenizer import sentencepiece_file
from chatwright.tokenizer.sentencepiece_file import CONTROL, UNIGRAM, UNKNOWN, SentencePieceModel

SPECIAL = ("</s>", "<unk>", "<pad>")


@dataclass(frozen=True)
class Side:
    """One language. Ids from `n_token` on stand for pieces that the model does not know."""

    model: SentencePieceModel
    document: dict[str, Any]  # tokenizer.json
    n_token: int
    unwritable: frozenset[str]  # pieces that no text becomes


def side_of(vocab: dict[str, int], data: bytes) -> Side:
    model = sentencepiece_file.read(data)
    if model.algorithm != UNIGRAM:
        raise ValueError(
            "MarianMT's SentencePiece models are Unigram models; this one is not. Get the file again from where the model came"
        )
    are_ids = all(type(token_id) is int for token_id in vocab.values()) and sorted(
        vocab.values()
    ) == list(range(len(vocab)))
    if not are_ids or not all(token in vocab for token in SPECIAL):
        raise ValueError(
            f"vocab.json: its ids are not 0 to {len(vocab) - 1}, or {', '.join(SPECIAL)} are not all there. Get the file again"
        )
    scores = {
        piece.text: piece.score for piece in model.pieces if piece.kind not in (CONTROL, UNKNOWN)
    }
    lowest = min(scores.values(), default=0.0)
    known = sorted(vocab, key=vocab.__getitem__)
    extra = [text for text in scores if text not in vocab]
    document = sentencepiece_file.as_document(model)
    document["model"] |= {
        "unk_id": vocab["<unk>"],
        "vocab": [[text, scores.get(text, lowest)] for text in [*known, *extra]],
    }
    document["added_tokens"] = [token | {"id": vocab[token["content"]]} for token in _added()]
    return Side(
        model,
        document,
        len(vocab),
        frozenset(text for text in known if text not in scores and text != "<unk>"),
    )


def _added() -> list[dict[str, Any]]:
    return [
        {
            "content": spelling,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for spelling in SPECIAL
    ]
