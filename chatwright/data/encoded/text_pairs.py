"""Pairs of texts as token ids for an encoder. A text that occurs in several pairs is held once.

Which texts are equal matters for training: a text that belongs to an anchor must not count as a
wrong answer to it because another pair of the batch brought it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from chatwright.data.rows import DataError, ScoredPair, TextPair
from chatwright.tokenizer.tokenizer import Tokenizer, encoder_tokens_of


@dataclass(frozen=True)
class EncodedTexts:
    """Distinct texts as token ids: [CLS] text [SEP]."""

    token_ids: list[list[int]]
    index: dict[str, int]
    """The position of each text in `token_ids`."""
    n_cut: int
    """Texts that are longer than the model reads; their ends are left out."""


@dataclass(frozen=True)
class EncodedTextPairs:
    """Pairs as indices of distinct texts."""

    texts: EncodedTexts
    anchors: list[int]
    positives: list[int]
    negatives: list[int | None]
    """For each pair, the text that does not belong to the anchor, if one is given."""
    sha256: str
    """Hash of the texts."""

    def __len__(self) -> int:
        return len(self.anchors)

    @cached_property
    def positives_of(self) -> dict[int, set[int]]:
        """All texts that belong to each anchor, over all pairs."""
        found: dict[int, set[int]] = {}
        for anchor, positive in zip(self.anchors, self.positives, strict=True):
            found.setdefault(anchor, set()).add(positive)
        return found

    def describe(self) -> dict[str, Any]:
        """Return the counts and the hash that identify the data of a run."""
        return {
            "pairs": len(self),
            "negatives": sum(negative is not None for negative in self.negatives),
            "texts": len(self.texts.token_ids),
            "tokens": sum(map(len, self.texts.token_ids)),
            "cut": self.texts.n_cut,
            "sha256": self.sha256,
        }


@dataclass(frozen=True)
class EncodedScoredPairs:
    """Pairs of texts with scores, as indices of distinct texts."""

    texts: EncodedTexts
    first: list[int]
    second: list[int]
    scores: list[float]
    sha256: str
    """Hash of texts and scores."""

    def describe(self) -> dict[str, Any]:
        """Return the count and the hash that identify the data of a run."""
        return {"pairs": len(self.scores), "sha256": self.sha256}


def encode_text_pairs(
    pairs: Sequence[TextPair], tokenizer: Tokenizer, max_length: int
) -> EncodedTextPairs:
    """Encode pairs; texts are cut to `max_length` tokens.

    Raises DataError if all pairs have the same anchor, so that no text is wrong for it.
    """
    if len({pair.anchor for pair in pairs}) < 2:
        raise DataError(
            pairs[0].location,
            f"all {len(pairs)} pairs have the same anchor",
            "add pairs with other anchors: their texts are the wrong answers to learn from",
            field="anchor",
        )
    columns = [(pair.anchor, pair.positive, pair.negative) for pair in pairs]
    texts = encode_texts((text for row in columns for text in row if text), tokenizer, max_length)
    index = texts.index
    return EncodedTextPairs(
        texts,
        [index[pair.anchor] for pair in pairs],
        [index[pair.positive] for pair in pairs],
        [None if pair.negative is None else index[pair.negative] for pair in pairs],
        _hash(columns),
    )


def encode_scored_pairs(
    pairs: Sequence[ScoredPair], tokenizer: Tokenizer, max_length: int
) -> EncodedScoredPairs:
    """Encode pairs with scores; texts are cut to `max_length` tokens."""
    sides = (text for pair in pairs for text in (pair.first, pair.second))
    texts = encode_texts(sides, tokenizer, max_length)
    return EncodedScoredPairs(
        texts,
        [texts.index[pair.first] for pair in pairs],
        [texts.index[pair.second] for pair in pairs],
        [pair.score for pair in pairs],
        _hash((pair.first, pair.second, pair.score) for pair in pairs),
    )


def encode_texts(texts: Iterable[str], tokenizer: Tokenizer, max_length: int) -> EncodedTexts:
    """Encode each distinct text, in the order of first appearance."""
    distinct = list(dict.fromkeys(texts))
    encoder_tokens = encoder_tokens_of(tokenizer)
    encoded = tokenizer.encode_batch(distinct)
    whole = [encoder_tokens.with_special_tokens(ids) for ids in encoded]
    token_ids = [encoder_tokens.beginning(ids, max_length) for ids in encoded]
    n_cut = sum(len(ids) > len(kept) for ids, kept in zip(whole, token_ids, strict=True))
    return EncodedTexts(token_ids, {text: i for i, text in enumerate(distinct)}, n_cut)


def _hash(rows: Iterable[tuple[Any, ...]]) -> str:
    content = hashlib.sha256()
    for row in rows:
        content.update(repr(row).encode())
    return content.hexdigest()
